"""The project store: photos, boxes, masks and who did what, in SQLite (one file) or PostgreSQL (a team).

Rows of the database never leave this package: its functions give the frozen dataclasses of ``app.store.records``.
Every change of an annotation goes through ``app.store.acts.commit``.
"""
