"""Measure a labeler on any COCO file with true masks. Protocol ``boxes``: given boxes and names to masks."""
