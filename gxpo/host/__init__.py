"""What the machine and its user hand us, made safe: files, locks, environment, errors.

Imports nothing of the suite.
"""

from gxpo.host.atomic import sync, write_atomically
from gxpo.host.errors import Busy, CellError, Interrupted, NotTrained, UserError
from gxpo.host.flock import say_unlocked, wait_for_lock
from gxpo.host.hashing import file_sha256, file_stamp, text_sha256
from gxpo.host.permissions import denial, denied
from gxpo.host.progress import progress_bar, say_beside
from gxpo.host.redaction import redact, redacted
from gxpo.host.shipped import REPOSITORY, shipped
from gxpo.host.untrusted import shortened, visible
from gxpo.host.user_files import read_text
from gxpo.host.yaml_files import parse_yaml, read_yaml
from gxpo.host.yaml_hints import hint
