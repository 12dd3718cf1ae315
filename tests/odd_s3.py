"""An S3 server that answers what a test says: what no real one that can be installed does."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODIFIED = "Wed, 21 Oct 2015 07:28:00 GMT"


@contextmanager
def odd_s3(answer):
    """Call `answer` with every request, and give the server's URL.

    ``answer(request)`` returns a status, a dict of headers and the body; more bytes in the
    header ``content-length`` than in the body cut the connection.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet for headers and body

        def do_GET(self):
            status, headers, body = answer(self)
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)
            self.close_connection = "content-length" in headers

        def do_HEAD(self):
            self.do_GET()

        def log_message(self, *line):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=20)


def listing(*objects, token=""):
    """Return the answer to a listing: of every object, key, size and ETag as XML."""
    contents = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size></Contents>"
        for key, size, etag in objects
    )
    more = f"<IsTruncated>{'true' if token else 'false'}</IsTruncated>"
    more += f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return 200, {}, f"<ListBucketResult>{more}{contents}</ListBucketResult>".encode()


def content(body, etag="e", status=200, **headers):
    """Return the answer to a request for an object."""
    return status, {"etag": f'"{etag}"', "last-modified": MODIFIED, **headers}, body
