"""Everything a person or a program touches: commands, reports, evaluation. Glue between the other rooms."""
