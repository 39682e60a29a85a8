"The command as a user runs it: a process, its output, its exit status."
import json, subprocess, sys
import pytest
from vidnb.core.testing import shared_data, test_same

def vidnb(*args, **kw): return subprocess.run([sys.executable, '-W', 'ignore', '-m', 'vidnb', *map(str, args)], capture_output=True, text=True, **kw)

@pytest.fixture(scope='module')
def learner(tmp_path_factory):
    from vidnb.learn.learner import video_learner
    from vidnb.loading.loaders import VideoDataLoaders
    from vidnb.models.recognizers import tiny3d
    from vidnb.video.synth import synth_actions
    dls = VideoDataLoaders.from_folder(synth_actions(n_per_class=4, n_valid=2), clip_len=8, size=64, bs=8, num_workers=0)
    learn = video_learner(dls, tiny3d, path=tmp_path_factory.mktemp('learner'))
    return learn.export('actions.pth')

def test_help_needs_no_torch():
    code = "import sys; from vidnb.cli import parser; parser(); print('torch' in sys.modules, 'fastai' in sys.modules)"
    test_same(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout.split(), ['False', 'False'])

def test_env_names_what_matters():
    out = vidnb('env')
    test_same(out.returncode, 0)
    for word in ('Python', 'torch', 'PyAV', 'OpenCV', 'decord', 'torchcodec', 'fastai', 'vidnb'):
        assert any(l.lower().startswith(word.lower()) for l in out.stdout.splitlines()), f'vidnb env says nothing of {word}:\n{out.stdout}'

def test_predict_on_real_videos(learner, tmp_path):
    videos = [shared_data('videos', n) for n in ('yoga.mp4', 'pigs_in_a_polka.gif', 'flipping_a_pancake.mkv')]
    out = vidnb('predict', *videos, '--learner', learner, '--json', '--top', 2, '--out', tmp_path)
    test_same([out.returncode, len(out.stdout.splitlines())], [0, 3])
    for line,v in zip(out.stdout.splitlines(), videos):
        doc = json.loads(line)
        test_same([doc['video'], len(doc['top']), doc['label'] in doc['top']], [str(v), 2, True])
    test_same(sorted(f.name for f in tmp_path.iterdir()), sorted(f'{v.stem}.{e}' for v in videos for e in ('mp4', 'png')))

def test_predict_goes_on_after_a_bad_file(learner, tmp_path):
    (tmp_path/'text.mp4').write_text('this is not a video')
    out = vidnb('predict', tmp_path/'text.mp4', shared_data('videos', 'yoga.mp4'), '--learner', learner)
    test_same(out.returncode, 1)
    assert 'text.mp4' in out.stderr and 'Traceback' not in out.stderr, out.stderr
    assert out.stdout.startswith(str(shared_data('videos', 'yoga.mp4'))), out.stdout

def test_mistakes_are_one_line(tmp_path):
    out = vidnb('predict', 'a.mp4', '--learner', tmp_path/'none.pth')
    test_same([out.returncode, out.stdout, out.stderr.splitlines()[-1]], [1, '', f'vidnb predict: {tmp_path/"none.pth"} is not there'])
    test_same(vidnb('fly').returncode, 2)

def test_bench_prints_a_ratio():
    out = vidnb('bench', shared_data('videos', 'yoga.mp4'), '--rounds', 1)
    rows = dict(l.rsplit(None, 1) for l in out.stdout.splitlines())
    test_same(float(rows['ratio']) > .9, True)
    test_same(float(rows['decode only, clips/s']) > 0, True)
