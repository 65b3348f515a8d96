"""Alembic's way from an empty or older database to ``app.store.schema``. Run by ``app.store.database``."""
