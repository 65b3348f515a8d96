"""Projects, photos, classes, annotations, the event log and model runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# The history of who did what is only worth something if nobody can rewrite it, not even a bug of ours.
_APPEND_ONLY = ("acts", "events")
_SQLITE_TRIGGER = """
CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""
_POSTGRES_FUNCTION = """
CREATE FUNCTION openseed_label_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
"""
_POSTGRES_TRIGGER = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION openseed_label_append_only()
"""
_REVIEW_RANK = "CASE WHEN counts IS NULL AND x0 IS NOT NULL THEN -1.0 WHEN quality IS NULL THEN 2.0 ELSE quality END"


def upgrade() -> None:
    """From nothing."""
    _create_tables()
    if op.get_bind().dialect.name == "sqlite":
        for table in _APPEND_ONLY:
            for verb in ("update", "delete"):
                op.execute(_SQLITE_TRIGGER.format(table=table, verb=verb))
    else:
        op.execute(_POSTGRES_FUNCTION)
        for table in _APPEND_ONLY:
            op.execute(_POSTGRES_TRIGGER.format(table=table))


def _create_tables() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("images_root", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("source_sha256", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("frame", sa.Text(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("name", name=op.f("uq_projects_name")),
    )
    op.create_table(
        "categories",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("colour", sa.Text(), nullable=False),
        sa.Column("synonyms", sa.Text(), server_default="[]", nullable=False),
        sa.Column("raw", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_categories_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_categories")),
        sa.UniqueConstraint("project_id", "position", name=op.f("uq_categories_project_id_position")),
    )
    op.create_table(
        "images",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("shuffle", sa.Integer(), nullable=False),
        sa.Column("reviewed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("lease_by", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("queue_order", sa.Text(), nullable=True),
        sa.Column("queue_rank", sa.Double(), nullable=True),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("orientation", sa.Integer(), nullable=False),
        sa.Column("frame_orientation", sa.Integer(), nullable=False),
        sa.Column("frame_width", sa.Integer(), nullable=False),
        sa.Column("frame_height", sa.Integer(), nullable=False),
        sa.Column("file_size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("source_key", sa.Text(), nullable=True),
        sa.Column("raw", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_images_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sa.UniqueConstraint("project_id", "position", name=op.f("uq_images_project_id_position")),
    )
    op.create_index(op.f("ix_images_project_id_lease_by"), "images", ["project_id", "lease_by"])
    op.create_index(op.f("ix_images_project_id_shuffle"), "images", ["project_id", "shuffle"])
    op.create_table(
        "model_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("labeler", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), server_default="{}", nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("photos", sa.Integer(), server_default="0", nullable=False),
        sa.Column("annotations", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_model_runs_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_runs")),
    )
    op.create_index(op.f("ix_model_runs_project_id"), "model_runs", ["project_id"])
    op.create_table(
        "acts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reverses", sa.Integer(), nullable=True),
        sa.Column("root", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_acts_image_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_acts_project_id")),
        sa.ForeignKeyConstraint(["reverses"], ["acts.id"], name=op.f("fk_acts_reverses")),
        sa.ForeignKeyConstraint(["root"], ["acts.id"], name=op.f("fk_acts_root")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acts")),
        sa.UniqueConstraint("reverses", name=op.f("uq_acts_reverses")),
    )
    op.create_index(op.f("ix_acts_project_id_actor_kind"), "acts", ["project_id", "actor", "kind"])
    op.create_table(
        "annotations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.Integer(), nullable=False),
        sa.Column("category_id", sa.Integer(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("quality", sa.Double(), nullable=True),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), server_default="auto", nullable=False),
        sa.Column("simplify", sa.Double(), server_default="0", nullable=False),
        sa.Column("iscrowd", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("x0", sa.Double(), nullable=True),
        sa.Column("y0", sa.Double(), nullable=True),
        sa.Column("x1", sa.Double(), nullable=True),
        sa.Column("y1", sa.Double(), nullable=True),
        sa.Column("box_changed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("mask_changed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("category_changed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("review_rank", sa.Double(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=True),
        sa.Column("counts", sa.Text(), nullable=True),
        sa.Column("raw", sa.Text(), nullable=True),
        sa.CheckConstraint(f"review_rank = {_REVIEW_RANK}", name=op.f("ck_annotations_review_rank")),
        sa.CheckConstraint("form IN ('auto', 'polygon', 'rle')", name=op.f("ck_annotations_form")),
        sa.CheckConstraint(
            "state IN ('proposed', 'accepted', 'rejected', 'needs work')", name=op.f("ck_annotations_state")
        ),
        sa.ForeignKeyConstraint(["category_id"], ["categories.id"], name=op.f("fk_annotations_category_id")),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_annotations_image_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_annotations_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotations")),
    )
    op.create_index(
        op.f("ix_annotations_review"),
        "annotations",
        ["project_id", "image_id", "deleted", "state", "review_rank", "category_id"],
    )
    op.create_index(
        op.f("ix_annotations_tally"), "annotations", ["project_id", "deleted", "state", "author", "category_id"]
    )
    op.create_index(op.f("ix_annotations_project_id_position"), "annotations", ["project_id", "position"])
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("act_id", sa.Integer(), nullable=False),
        sa.Column("annotation_id", sa.Integer(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["act_id"], ["acts.id"], name=op.f("fk_events_act_id")),
        sa.ForeignKeyConstraint(["annotation_id"], ["annotations.id"], name=op.f("fk_events_annotation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("act_id", "annotation_id", name=op.f("uq_events_act_id_annotation_id")),
    )
    op.create_index(op.f("ix_events_annotation_id"), "events", ["annotation_id"])
