"""A deployment and its users in miniature, driven by a seed: what it does is told to the audit, and recorded.

`world` is played at random; `book` judges it by itself, from complete lists of who received what and when, in
the plainest way that follows docs/scenarios.md. No pointer, no exception list: that is what the audit is
compared with.
"""
