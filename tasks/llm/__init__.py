"""What talks to an OpenAI-compatible endpoint: requests, the client, its pacer, kept responses and what they cost."""
