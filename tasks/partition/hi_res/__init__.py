"""The route hi_res: pages taken apart by unstructured's layout model and its table model, instead of by geometry.

`installed` says before any document whether packages and models are here; `layout` is unstructured's hi_res over one
page; `table_model` and `structure` read tables, `pictures` keeps what is shown, and `page` makes rows of all that. Text
and OCR are those of the default route. Nothing of this is imported unless the settings ask for the route.
"""
