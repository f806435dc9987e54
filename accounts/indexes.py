"""Indexes of large tables, made while people go on using them, by migrations that may be killed and run again."""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently


class AddIndexWhileInUse(AddIndexConcurrently):
    """CREATE INDEX CONCURRENTLY that can begin again.

    Such a migration has no transaction: if it is killed, it is not recorded, though an index of it may be there, whole
    or as an invalid rest. The whole one is kept, the rest is dropped and made anew.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Make the index unless it is there."""
        name = self.index.name
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(
                "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
                "WHERE c.relname = %s AND pg_table_is_visible(c.oid)",
                [name],
            )
            found = cursor.fetchone()
        if found == (True,):
            return
        if found is not None:
            schema_editor.execute(f"DROP INDEX CONCURRENTLY {schema_editor.quote_name(name)}")
        super().database_forwards(app_label, schema_editor, from_state, to_state)
