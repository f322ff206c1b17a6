"""Results as one file that anyone can read, verify and merge: an RO-Crate in a zip file.

May import ``host`` up to ``results``. Whatever comes out of an archive is untrusted: ``unpack`` is
the one door, and no code or pickle of an archive is ever run.
"""
