"""Read damaged copies of a video, each in a process of its own: what tests/test_damage.py runs, one process for each reader.

    python tests/damage.py VIDEO BACKEND FIRST LAST

Case i of a video is always the same damage. This process imports the library and does not use it; for each case it forks a child that
damages a copy, reads all of it and answers on a pipe. A line of JSON for each case says how it went: `error` (a `VideoError`),
`frames` (as many and as large as the reader said), or what must not happen: `wrong`, `hang`, `crash`."""
import faulthandler, json, os, signal, sys, tempfile, time
import numpy as np

LIMIT = 20. # seconds
KINDS = 'one', 'few', 'many', 'header', 'zeros', 'cut', 'swap'

def damage(data, i):
    "Case `i`: the kind of damage and the bytes"
    rng, kind = np.random.default_rng((2024, i)), KINDS[i % len(KINDS)]
    a, n = np.frombuffer(data, np.uint8).copy(), len(data)
    def flip(where): a[where] ^= (1 << rng.integers(0, 8, len(where))).astype(np.uint8)
    if kind == 'one': flip(rng.integers(0, n, 1))
    elif kind == 'few': flip(rng.integers(0, n, 20))
    elif kind == 'many': flip(rng.integers(0, n, n//200))
    elif kind == 'header': flip(rng.integers(0, min(n, 3000), 4)) # sizes, tables and parameters
    elif kind == 'zeros': s = rng.integers(0, n); a[s:s+rng.integers(1, 4000)] = 0
    elif kind == 'swap': s, t = rng.integers(0, n-1000, 2); a[s:s+1000] = a[t:t+1000].copy()
    else: a = a[:rng.integers(0, n)]
    return kind, a.tobytes()

def read_all(path, backend):
    "Outcome and its description"
    from vidnb.video.reader import VideoError, open_video
    try:
        with open_video(path, backend) as r:
            n, hw = len(r), (r.height, r.width)
            if n == 0: return 'wrong', 'no frames and no error'
            some = sorted({0, n//3, n//2, n-1})
            back = r.get_batch(some[::-1])
            if back.shape != (len(some), *hw, 3) or back.dtype != np.uint8: return 'wrong', f'{back.shape} {back.dtype} instead of {(len(some), *hw, 3)}'
            for s in range(0, n, 32):
                got = r.get_batch(range(s, min(s+32, n)))
                if got.shape != (min(s+32, n)-s, *hw, 3): return 'wrong', f'{got.shape} at frame {s} of {n}, {hw}'
            return 'frames', f'{n} of {hw[1]}x{hw[0]}'
    except VideoError as e:
        return ('error', e.reason) if e.path == str(path) and e.reason else ('wrong', f'an error that names no file: {e}')
    except BaseException as e: return 'wrong', f'{type(e).__name__}: {e}'

def child(data, i, backend, folder, pipe):
    faulthandler.disable()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1); os.dup2(null, 2)
    kind, data = damage(data, i) if i >= 0 else ('none', data)
    path = os.path.join(folder, f'{i}.mp4')
    with open(path, 'wb') as f: f.write(data)
    t = time.perf_counter()
    what, why = read_all(path, backend)
    os.write(pipe, json.dumps(dict(kind=kind, what=what, why=why[:300], seconds=round(time.perf_counter()-t, 3))).encode())
    os._exit(0)

def run_case(data, i, backend, folder):
    "The outcome of one case; its child is waited for, or killed"
    out, pipe = os.pipe()
    pid = os.fork()
    if not pid:
        try: child(data, i, backend, folder, pipe)
        finally: os._exit(77)
    os.close(pipe)
    end = time.monotonic() + LIMIT
    while (done := os.wait4(pid, os.WNOHANG))[0] == 0:
        if time.monotonic() > end: os.kill(pid, signal.SIGKILL); end = float('inf')
        time.sleep(.002)
    with os.fdopen(out, 'rb') as f: answer = f.read()
    res = json.loads(answer) if answer else dict(kind=KINDS[i % len(KINDS)], what='hang' if end == float('inf') else 'crash', why=f'status {done[1]}', seconds=LIMIT)
    try: os.remove(os.path.join(folder, f'{i}.mp4'))
    except OSError: pass
    return dict(case=i, backend=backend, **res, mb=done[2].ru_maxrss//1024)

if __name__ == '__main__':
    video, backend, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    from vidnb.video.reader import available_backends
    available_backends() # imports the library behind each
    data = open(video, 'rb').read()
    with tempfile.TemporaryDirectory() as folder:
        for i in [-1, *range(first, last)]: print(json.dumps(run_case(data, i, backend, folder)), flush=True)
