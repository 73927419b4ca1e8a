"""unstructured's table model, a table transformer, from a folder: its weights as published, without the library timm.

timm needs torchvision, which breaks beside a CPU build of torch. The backbone is an ordinary ResNet-18, which
transformers has as well, under other names.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.partition.hi_res.installed import BACKBONE
from tasks.partition.nlp import install

_PREFIX = r"^model\.backbone\.conv_encoder\.model\."
_HF = "model.backbone.conv_encoder.model."
# timm's names of a ResNet's weights → those of transformers
_NAMES = {
    rf"{_PREFIX}conv1\.": f"{_HF}embedder.embedder.convolution.",
    rf"{_PREFIX}bn1\.": f"{_HF}embedder.embedder.normalization.",
    **{
        rf"{_PREFIX}layer{stage}\.(\d+)\.{theirs}\.": rf"{_HF}encoder.stages.{stage - 1}.layers.\1.{ours}."
        for stage in (1, 2, 3, 4)
        for theirs, ours in (
            ("conv1", "layer.0.convolution"),
            ("bn1", "layer.0.normalization"),
            ("conv2", "layer.1.convolution"),
            ("bn2", "layer.1.normalization"),
            (r"downsample\.0", "shortcut.convolution"),
            (r"downsample\.1", "shortcut.normalization"),
        )
    },
}
_RESNETS: dict[str, dict[str, Any]] = {
    "resnet18": {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}
}


@functools.cache
def table_agent(folder: str) -> Any:
    """unstructured's table agent with the model in this folder loaded, on the CPU. Raises ModelError."""
    install()
    import transformers

    for name in ("transformers", "unstructured_inference"):
        logging.getLogger(name).setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
    from unstructured_inference.config import inference_config
    from unstructured_inference.models.tables import UnstructuredTableTransformerModel

    agent = object.__new__(UnstructuredTableTransformerModel)  # its own `__new__` knows one agent per process
    agent.device = "cpu"
    agent.model = _model(Path(folder))
    size = {
        "shortest_edge": inference_config.IMG_PROCESSOR_SHORTEST_EDGE,
        "longest_edge": inference_config.IMG_PROCESSOR_LONGEST_EDGE,
    }
    agent.feature_extractor = DetrImageProcessorPil(size=size)
    return agent


def _model(folder: Path) -> Any:
    from transformers import ResNetConfig, TableTransformerConfig, TableTransformerForObjectDetection

    try:
        config: Any = TableTransformerConfig.from_pretrained(folder, local_files_only=True)
        if config.backbone_config.model_type == "timm_backbone":
            config.backbone_config = ResNetConfig(embedding_size=64, **_RESNETS[BACKBONE])
            config.backbone_config.out_features = ["stage4"]
        loaded: Any = TableTransformerForObjectDetection.from_pretrained(
            folder,
            config=config,
            key_mapping=_NAMES,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
        model, report = loaded
    except (OSError, ValueError, RuntimeError) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ModelError(f"the table model in {folder} cannot be loaded: {what}", "get it again") from error
    lacking = [name for name in report["missing_keys"] if not name.endswith("num_batches_tracked")]
    if lacking:
        raise ModelError(f"the table model in {folder} lacks weights, such as {lacking[0]}", "get it again")
    return model.float().eval()
