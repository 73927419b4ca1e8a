"""ImageBind beside the plain way of running it: items per second, memory and agreement, by modality and batch size."""
