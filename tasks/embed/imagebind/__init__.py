"""ImageBind, implemented from the paper: six modalities and video in one space, on torch alone."""
