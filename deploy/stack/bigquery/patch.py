"""What of the emulator must differ for the tests of the sink, each by one edit of its source:

- It answers 'Stream not found' to every AppendRows after the first on a connection: a client
  names the stream in the first request only, as the service documents. This keeps the stream
  of the first request.
- Each open AppendRows stream holds one thread of a pool of cores + 4: programs with more
  open streams between them wait for each other for ever. This gives it a pool of its own.
- The threads of the streams and the thread of REST use one DuckDB connection, so that one
  may read the other's result, or both stand still, one with the interpreter's lock and one
  with the connection's. This gives each thread a connection of its own.
- After each append it copies the whole table, for time travel: its memory grows with the square
  of the rows. This takes no copies.
- It looks at every column of every row in Python, also at those that a row has not. This looks
  at what a row has: three times as many rows a second.
- Its engine takes up to four fifths of the machine's memory. This gives it a bound, above which
  it works on disk.
- A load job takes dt=... in a path for a column, which the service does only where the job
  asks for it, and takes columns by position, where the service takes them by name.

It is run at each start and changes nothing twice; after an update of the emulator it changes
what it knows, or fails."""
import pathlib

import bqemulator

EDITS = {
    "grpc_api/write_servicer.py": [(
        "                request.write_stream,\n                bound_ctx,\n",
        '                request.write_stream or (bound_ctx[0].name if bound_ctx else ""),\n                bound_ctx,\n',
    )],
    "grpc_api/server.py": [(
        "    server = grpc.aio.server(\n        interceptors",
        "    from concurrent.futures import ThreadPoolExecutor\n\n    server = grpc.aio.server(\n        migration_thread_pool=ThreadPoolExecutor(max_workers=512),\n        interceptors",
    )],
    "storage/engine.py": [(
        "        self._connection.execute(\"SET TimeZone = 'UTC'\")\n\n    def _ensure",
        """        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute("SET memory_limit = '4GB'")
        self._connection.execute(f"SET temp_directory = '{Path.home()}/spill'")

    def _ensure""",
    ), (
        '            raise InternalError("DuckDBEngine not started")\n        return self._connection\n',
        """            raise InternalError("DuckDBEngine not started")
        import threading

        if threading.current_thread() is threading.main_thread():
            return self._connection
        own = self.__dict__.setdefault("_own", threading.local())
        if not hasattr(own, "connection"):
            own.connection = self._connection.cursor()
            own.connection.execute("SET TimeZone = 'UTC'")
        return own.connection
""",
    )],
    "versioning/snapshots.py": [(
        '        meta = self.capture(project_id, dataset_id, table_id, kind="AUTO")\n',
        "        meta = None\n",
    )],
    "streaming/proto_deserializer.py": [(
        "    for field in msg_descriptor.fields:\n        name",
        "    for field, _ in message.ListFields():\n        name",
    ), (
        """    columns: dict[str, list[Any]] = {f.name: [] for f in target_schema}

    for raw in serialized_rows:
        row = decoder.decode(raw)
        for field in target_schema:
            raw_val = row.get(field.name)
            columns[field.name].append(_coerce_to_arrow_value(raw_val, field.type))
""",
        """    columns = {f.name: [[] if pa.types.is_list(f.type) else None] * len(serialized_rows) for f in target_schema}
    types = {f.name: f.type for f in target_schema}

    for i, raw in enumerate(serialized_rows):
        for name, value in decoder.decode(raw).items():
            if name in types:
                columns[name][i] = _coerce_to_arrow_value(value, types[name])
""",
    )],
    "jobs/executor.py": [
        (f"INSERT INTO {{target_ref}} SELECT * FROM {read}(?)", f"INSERT INTO {{target_ref}} BY NAME SELECT * FROM {read}(?, hive_partitioning=false)")
        for read in ("read_parquet", "read_avro")
    ],
}

for name, edits in EDITS.items():
    path = pathlib.Path(bqemulator.__file__).parent / name
    text = path.read_text()
    for old, new in edits:
        if new in text:
            continue
        if text.count(old) != 1:
            raise SystemExit(f"{path}: not the code that this patch is for: look at it again")
        text = text.replace(old, new)
    path.write_text(text)
