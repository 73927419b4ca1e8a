"""The route hi_res: pages taken apart by unstructured's layout model and its table model, instead of by geometry.

`installed` says before any document whether packages and models are here; `layout` is unstructured's hi_res over one
page; `table_model` and `structure` read tables; `page` makes rows of all that. Text, pictures and OCR come from where
the default route has them. Nothing but `installed` is imported unless the settings ask for the route.
"""
