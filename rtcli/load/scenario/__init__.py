"""A scenario: its model, and how a file becomes one.

From outside: `model` and `steps` are its values, `loader` reads them; `expressions` and `distributions`
are what values are made of.
"""
