"""`report.html`: one file with text, tables and plots, which opens anywhere.

From outside: `page.render` alone.
"""
