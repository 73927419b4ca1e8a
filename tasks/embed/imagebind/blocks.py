"""The layers that ImageBind's towers are made of: tokens in, tokens out.

Each layer has a plain way beside the fast one, which is torch's own attention, and all tokens in every block.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-6  # of the layer norms in trunks and heads


class Norm(nn.Module):
    """A layer norm that has its weights, and computes, in float32 or wider, whatever it is given."""

    def __init__(self, width: int, epsilon: float = EPSILON) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(width)), nn.Parameter(torch.empty(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x.to(self.weight.dtype), self.weight.shape, self.weight, self.bias, self.epsilon)


class Attention(nn.Module):
    """Multi-head self-attention; with `bias_kv`, every query also sees one learnt key and value."""

    def __init__(self, width: int, heads: int, bias_kv: bool) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.bias_k = nn.Parameter(torch.empty(1, 1, width)) if bias_kv else None
        self.bias_v = nn.Parameter(torch.empty(1, 1, width)) if bias_kv else None
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, causal: bool) -> Tensor:
        """All tokens (n, tokens, width) attend to all, or if `causal` to themselves and those before."""
        q, k, v = self._split(functional.linear(x, self.in_proj_weight, self.in_proj_bias), 3)
        k, v = self._extend(k, self.bias_k), self._extend(v, self.bias_v)
        return self._merge(functional.scaled_dot_product_attention(q, k, v, is_causal=causal))

    def one(self, x: Tensor, query: Tensor, mask: Tensor | None) -> Tensor:
        """The same for one query of each item: `query` (n, width) attends to the tokens `x` where `mask` is true."""
        weight, bias, width = self.in_proj_weight, self.in_proj_bias, x.shape[-1]
        (q,) = self._split(functional.linear(query[:, None], weight[:width], bias[:width]), 1)
        k, v = self._split(functional.linear(x, weight[width:], bias[width:]), 2)
        k, v = self._extend(k, self.bias_k), self._extend(v, self.bias_v)
        return self._merge(functional.scaled_dot_product_attention(q, k, v, attn_mask=mask))[:, 0]

    def plain(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """What `forward` gives, by torch's own layer and with the mask that is in the state dict."""
        x = x.transpose(0, 1)
        found, _ = functional.multi_head_attention_forward(
            x, x, x, x.shape[-1], self.heads, self.in_proj_weight, self.in_proj_bias, self.bias_k, self.bias_v, False,
            0.0, self.out_proj.weight, self.out_proj.bias, training=False, need_weights=False, attn_mask=mask,
        )  # fmt: skip
        return found.transpose(0, 1)

    def _split(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """(n, tokens, parts · width) → for each part (n, heads, tokens, width / heads)."""
        return x.view(*x.shape[:2], parts, self.heads, -1).permute(2, 0, 3, 1, 4).unbind()

    def _extend(self, x: Tensor, bias: Tensor | None) -> Tensor:
        if bias is None:
            return x
        return torch.cat([x, bias.view(1, self.heads, 1, -1).expand(len(x), -1, -1, -1)], dim=2)

    def _merge(self, x: Tensor) -> Tensor:
        merged: Tensor = self.out_proj(x.transpose(1, 2).flatten(2))
        return merged


class Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return found


class Block(nn.Module):
    """A pre-norm transformer block. The residual stream keeps its dtype; products are in that of their weights."""

    def __init__(self, width: int, heads: int, bias_kv: bool) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = Norm(width), Norm(width)
        self.attn, self.mlp = Attention(width, heads, bias_kv), Mlp(width)

    def forward(self, x: Tensor, causal: bool) -> Tensor:
        return self._feed(x + self.attn(self._normed(self.norm_1, x), causal).to(x.dtype))

    def one(self, x: Tensor, at: Tensor | None) -> Tensor:
        """(n, width): the output for the token `at` of each item, which sees those up to it; None: for the first, which
        sees all."""
        normed = self._normed(self.norm_1, x)
        if at is None:
            kept, query, mask = x[:, 0], normed[:, 0], None
        else:
            rows = torch.arange(len(x), device=x.device)
            kept, query = x[rows, at], normed[rows, at]
            mask = (torch.arange(x.shape[1], device=x.device) <= at[:, None])[:, None, None]
        return self._feed(kept + self.attn.one(normed, query, mask).to(x.dtype))

    def plain(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return self._feed(x + self.attn.plain(self._normed(self.norm_1, x), mask).to(x.dtype))

    def _feed(self, x: Tensor) -> Tensor:
        fed: Tensor = self.mlp(self._normed(self.norm_2, x))
        return x + fed.to(x.dtype)

    def _normed(self, norm: nn.Module, x: Tensor) -> Tensor:
        normed: Tensor = norm(x)
        return normed.to(self.attn.in_proj_weight.dtype)
