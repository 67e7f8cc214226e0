project = "Widget in Sphinx"
# The package lies in _static/rrsis/.
html_static_path = ["_static"]
html_js_files = [("rrsis/rrsis-segment.js", {"type": "module"})]
