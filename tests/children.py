"""Processes that tests start without importing everything again: forks of this one, with output and exit status of their own."""
import os, signal, sys, tempfile, warnings
from types import SimpleNamespace

def _be(f, args, files):
    "What a child does, from start to end"
    for fd,o in zip((1, 2), files): os.dup2(o.fileno(), fd)
    sys.stdout,sys.stderr = (os.fdopen(fd, 'w', buffering=1, closefd=False) for fd in (1, 2))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.showwarning = lambda m, kind, *_, **__: print(f'{kind.__name__}: {m}', file=sys.stderr) # a test may be keeping them
    code = 0
    try: f(*args)
    except SystemExit as e: code = e.code if isinstance(e.code, int) else 1
    except KeyboardInterrupt: code = 130; sys.excepthook(*sys.exc_info()) # as a script ends
    except BaseException: code = 1; sys.excepthook(*sys.exc_info())
    sys.stdout.flush(); sys.stderr.flush()
    os._exit(code)

class Child:
    "A fork of this process that runs `f(*args)`"
    def __init__(self, f, *args):
        self.files = [tempfile.TemporaryFile('w+') for _ in range(2)]
        sys.stdout.flush(); sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0: _be(f, args, self.files)
    def wait(self, seconds=300):
        "Exit status (negative: the signal) and output; a child that takes longer is killed"
        old = signal.signal(signal.SIGALRM, lambda *_: os.kill(self.pid, signal.SIGKILL))
        signal.alarm(seconds)
        try: code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        finally: signal.alarm(0); signal.signal(signal.SIGALRM, old)
        for o in self.files: o.seek(0)
        return SimpleNamespace(returncode=code, stdout=self.files[0].read(), stderr=self.files[1].read())

def run(f, *args): return Child(f, *args).wait()

def write_faults(log, k):
    "What each of several processes writes into one record; here, so that one that is spawned does not import what a test does"
    for i in range(100): log.add(f'{k}.mp4', f'reason {i}')

def bound_by_permissions():
    "Let this process obey the permissions of files, even as root (Linux: it gives up two capabilities)"
    if os.geteuid() != 0: return
    import ctypes
    libc,head = ctypes.CDLL(None, use_errno=True),(ctypes.c_uint32*2)(0x20080522, 0)
    caps = (ctypes.c_uint32*6)()
    if libc.capget(head, caps): raise OSError(ctypes.get_errno(), 'capget')
    caps[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    if libc.capset(head, caps): raise OSError(ctypes.get_errno(), 'capset')
