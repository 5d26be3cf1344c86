"""Reports of a result, for people, CI systems and other tools; each module renders one format.

From outside: `render` of `text`, `markdown`, `junit`, `prometheus` and `html.page`, `github.announce`,
`outputs` for all files of a run, `output_directory.locked_directory` for where they go, and of `hlog` the
intervals that are written.
"""
