"""The command line: ``mdsrec``, one command a file, each thin over public functions."""
