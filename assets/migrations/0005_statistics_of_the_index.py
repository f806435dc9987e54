"""Patterns are asked of `UPPER(file_name)`, whose statistics belong to the index over it and have a target of their own.

The migration before set the target of the column, which helps nobody: it goes back to PostgreSQL's. Of a thousand names
a pattern that fits one in a hundred is missed once in 23,000 times; of five hundred, once in 150.
"""

from django.db import migrations

TABLE = "ALTER TABLE assets_imageasset ALTER COLUMN file_name SET STATISTICS"
INDEX = "ALTER INDEX assets_image_file_trgm ALTER COLUMN 1 SET STATISTICS"


class Migration(migrations.Migration):
    dependencies = [("assets", "0004_statistics_of_file_names")]

    operations = [
        migrations.RunSQL(f"{TABLE} -1", f"{TABLE} 500"),
        migrations.RunSQL(f"{INDEX} 1000", f"{INDEX} -1"),
    ]
