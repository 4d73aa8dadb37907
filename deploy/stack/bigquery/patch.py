"""The emulator answers 'Stream not found' to every AppendRows after the first on a
connection: a client names the stream in the first request only, as the service documents.
This keeps the stream of the first request. Run it again after an update: it changes what it
knows, or fails."""
import pathlib

import bqemulator

OLD = "                request.write_stream,\n                bound_ctx,\n"
NEW = '                request.write_stream or (bound_ctx[0].name if bound_ctx else ""),\n                bound_ctx,\n'

path = pathlib.Path(bqemulator.__file__).parent / "grpc_api" / "write_servicer.py"
text = path.read_text()
if NEW not in text:
    if text.count(OLD) != 1:
        raise SystemExit(f"{path}: not the code that this patch is for: look at it again")
    path.write_text(text.replace(OLD, NEW))
