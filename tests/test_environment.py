"""Who sees a progress bar: a terminal does, a pipe, a file and a closed error stream do not."""
import os
import struct
import subprocess
import sys
import pytest

loop = 'import time\nfrom vidnb.core.environment import progress\nfor _ in progress(range(20), desc="encoding"): time.sleep(.02)\nprint("done")'

@pytest.mark.skipif(sys.platform == 'win32', reason='Windows has no pseudo-terminals of this kind')
def test_bar_in_a_terminal():
    import fcntl
    import termios
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
    os.set_blocking(ours, False)
    p = subprocess.Popen([sys.executable, '-c', loop], stdout=subprocess.PIPE, stderr=theirs)
    assert p.communicate(timeout=300)[0] == b'done\n' and p.returncode == 0
    seen = os.read(ours, 100_000)
    os.close(ours)
    os.close(theirs)
    assert seen.count(b'\r') > 3 and b'encoding' in seen and b'/20' in seen
    assert seen.endswith(b'\r') and b'\n' not in seen  # taken away at the end

def test_short_loop_leaves_no_mark_in_a_log(tmp_path):
    with open(tmp_path/'log', 'w') as log: subprocess.run([sys.executable, '-c', loop.replace('.02', '.001')], stdout=log, stderr=log, check=True)
    assert (tmp_path/'log').read_text() == 'done\n'

def test_no_error_stream():
    code = 'import sys\nsys.stderr = None\nfrom vidnb.core.environment import viewer\nprint(viewer())'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout == 'log\n'

def test_the_module_imports_without_heavy_packages():
    code = 'import sys, vidnb.core.environment\nprint({"torch", "cv2", "av", "decord", "matplotlib"} & set(sys.modules))'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout == 'set()\n'
