"""`report.html`: one file that opens anywhere.

From outside: `page.render` alone.
"""
