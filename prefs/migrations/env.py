"""What Alembic runs: the migrations, on the connection and in the transaction that `migrate` gives it."""

from alembic import context

from prefs.store.tables import Row

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
    transactional_ddl=True,
)
context.run_migrations()
