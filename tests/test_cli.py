"The command as a user runs it: a process, its output, its exit status."
import csv, json, os, shutil, signal, subprocess, sys, time
from pathlib import Path
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
    speeds = [float(rows[k]) for k in ('clips/s', 'decode only, clips/s')]
    test_same(float(rows['ratio']), speeds[1]/speeds[0], eps=.02*float(rows['ratio']))   # the printed ones are rounded

def test_bench_data_prints_its_rows(tmp_path):
    out = vidnb('bench', 'data', shared_data('videos', 'carphone_pristine.mp4'), '--rounds', 1, '--out', tmp_path/'t.csv')
    test_same([out.returncode, 'Traceback' in out.stderr], [0, False])
    rows = list(csv.DictReader((tmp_path/'t.csv').open()))
    assert any('prepared' in r['row'] for r in rows), rows
    for r in rows: assert r['row'] in out.stdout, out.stdout
    test_same(vidnb('bench', 'data', 'a.mp4', 'b.mp4').returncode, 1)

@pytest.fixture
def clips(tmp_path):
    "Two real videos and a broken one, in folders"
    names = {'talk/carphone.mp4':('videos', 'carphone_pristine.mp4'), 'move/keyboard.mov':('videos', 'keyboard_video_90.mov'), 'move/bad clip.mp4':('odd_media', 'corrupted.mp4')}
    for to,src in names.items():
        (tmp_path/'in'/to).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shared_data(*src), tmp_path/'in'/to)
    return tmp_path/'in'

def errors(out): return [l for l in out.stderr.splitlines() if l.startswith('vidnb')]

def test_check_names_broken_files(clips, tmp_path):
    out = vidnb('check', clips, '--decode', '--workers', 2, '--out', tmp_path/'check.csv')
    test_same([out.returncode, out.stdout.splitlines(), len(errors(out))], [1, ['2 of 3 files can be read'], 1])
    assert 'bad clip.mp4' in errors(out)[0], out.stderr
    test_same(sorted((os.path.basename(r['file']), r['ok']) for r in csv.DictReader((tmp_path/'check.csv').open())), [('bad clip.mp4', 'False'), ('carphone.mp4', 'True'), ('keyboard.mov', 'True')])
    out = vidnb('check', clips/'talk')
    test_same([out.returncode, out.stdout, errors(out)], [0, '1 of 1 files can be read\n', []])

def test_prepare_then_again(clips):
    from vidnb.video.reader import scan_video
    small = clips.with_name('in_96')
    out = vidnb('prepare', clips, '--short-side', 96, '--gop', 8)
    test_same([out.returncode, out.stdout[:25], len(errors(out)), 'Traceback' in out.stderr], [1, '2 made, 0 kept, 1 broken,', 1, False])
    test_same(sorted(p.relative_to(small).as_posix() for p in small.rglob('*.*') if p.name[0] != '.'), ['broken.csv', 'move/keyboard.mp4', 'talk/carphone.mp4'])
    index = scan_video(small/'talk'/'carphone.mp4')
    test_same([len(index), index.height, len(index.keys)], [120, 96, 15])
    (clips/'move'/'bad clip.mp4').unlink()
    out = vidnb('prepare', clips, '--short-side', 96, '--gop', 8)
    test_same([out.returncode, out.stdout[:25], errors(out), (small/'broken.csv').exists()], [0, '0 made, 2 kept, 0 broken,', [], False])
    out = vidnb('prepare', clips, '--short-side', 96)
    test_same([out.returncode, errors(out)], [1, [f'vidnb prepare: {small} was made with gop=8, not 32. Choose another folder, or overwrite what is there']])
    test_same(vidnb('prepare', clips, '--short-side', 96, '--overwrite').stdout[:6], '2 made')

def test_extract_frames_and_flow_into_one_folder(clips):
    (clips/'list.txt').write_text('talk/carphone.mp4 4\nmove/bad clip.mp4 2\nmove/keyboard.mov 2\n')
    both = clips.with_name('both')
    for more,name in (([], 'frames'), (['--flow', 'farneback', '--bound', 10], 'flow')):
        out = vidnb('extract', clips/'list.txt', '--out', both, '--short-side', 64, *more)
        test_same([out.returncode, out.stdout, len(errors(out))], [1, f'2 made, 0 kept, 1 broken, in {both}\n', 1])
        rows = list(csv.DictReader((both/f'{name}.csv').open()))
        test_same([(r['frame_dir'], r['total_frames'], r['label']) for r in rows], [('talk/carphone', str(120 - (name == 'flow')), '4'), ('move/keyboard', str(3 - (name == 'flow')), '2')])
    test_same(sorted(p.name for p in (both/'move'/'keyboard').iterdir() if p.suffix == '.jpg'), ['flow_x_00001.jpg', 'flow_x_00002.jpg', 'flow_y_00001.jpg', 'flow_y_00002.jpg', 'img_00001.jpg', 'img_00002.jpg', 'img_00003.jpg'])

def test_interrupted_prepare_says_how_to_go_on(tmp_path):
    (tmp_path/'in').mkdir()
    for i in range(6): (tmp_path/'in'/f'{i}.mp4').symlink_to(shared_data('videos', 'clean_and_jerk.mp4'))
    args = [sys.executable, '-W', 'ignore', '-m', 'vidnb', 'prepare', str(tmp_path/'in'), '--out', str(tmp_path/'out'), '--short-side', '96', '--workers', '1']
    p = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic()+300
    while not [f for f in Path(tmp_path/'out').glob('*.mp4') if f.name[0] != '.'] and time.monotonic() < until: time.sleep(.05)
    os.killpg(p.pid, signal.SIGINT)  # as Ctrl-C in a terminal: to the command and its workers
    said, err = p.communicate(timeout=300)
    test_same([p.returncode, said, [l for l in err.splitlines() if not l.startswith('preparing')]], [130, '', ['vidnb prepare: stopped; what is done is kept, and the same command goes on from there']])
    kept = len([f for f in (tmp_path/'out').glob('*.mp4') if f.name[0] != '.'])
    test_same(subprocess.run(args, capture_output=True, text=True).stdout[:14], f'{6-kept} made, {kept} kept')

def test_bench_models_prints_its_rows(tmp_path):
    pytest.importorskip('pytorchvideo')
    out = vidnb('bench', 'models', 'SlowFast-R50', 'TSM-R50', '--size', 32, '--rounds', 1, '--device', 'cpu', '--out', tmp_path/'t.csv')
    test_same([out.returncode, 'Traceback' in out.stderr], [0, False])
    assert 'on cpu, 1 thread' in out.stdout and 'TSM-R50: the peer is the network without its shift' in out.stdout, out.stdout
    rows = list(csv.DictReader((tmp_path/'t.csv').open()))
    test_same([(r['row'], r['network'], r['of'], float(r['peer x']) > 0) for r in rows], [(k, n, of, True) for k in ('forward', 'training') for n,of in (('SlowFast-R50', 'PyTorchVideo'), ('TSM-R50', 'vidnb, TSN'))])

def test_bench_training_prints_what_it_measured(tmp_path):
    from vidnb.bench.bench_training import training_text
    import pandas as pd
    small = '--rounds', 1, '--steps', 4, '--batch', 2, '--size', 32, '--device', 'cpu'
    out = vidnb('bench', 'training', *small, '--json', '--out', tmp_path/'t.csv')
    test_same([out.returncode, 'Traceback' in out.stderr], [0, False])
    rows = [json.loads(l) for l in out.stdout.splitlines()]
    test_same([r['row'] for r in rows], ['overhead']*2 + ['waiting']*3 + ['processes', 'gpu'])
    for r in rows[:2]:
        test_same([r['x'], r['epoch x']], [r['ms/step']/r['bare ms'], r['ms/epoch']/r['bare epoch ms']], eps=1e-9)
        assert r['losses differ by'] < 1e-5, r
        assert r['ms/epoch'] > r['ms/step'] > 0, r
    for r,n in zip(rows[2:5], ('0 workers', '1 worker', '2 workers')):
        test_same([r['what'], r['steps']], [n, 3.])
        test_same([r['waits ms'] + r['computes ms'], r['waits ms']/r['ms/step']], [r['ms/step'], r['share waiting']], eps=1e-9)
    test_same(rows[5]['x'], rows[5]['ms/step']/rows[5]['one process ms'], eps=1e-9)
    assert rows[5]['losses differ by'] < 1e-4 and 'says' in rows[5]['note'], rows[5]
    assert rows[6]['note'].startswith('not measured') and 'ms/step' not in rows[6], rows[6]
    text = training_text(pd.read_csv(tmp_path/'t.csv'))
    for word in ('epoch x', 'share waiting', 'one process ms', 'gpu: not measured'): assert word in text, text

def test_bench_training_refuses(tmp_path):
    from vidnb.cli import main
    (tmp_path/'empty').mkdir()
    for args in (['--size', '16'], ['--batch', '3'], [str(tmp_path/'empty')], ['a', 'b']): test_same(main(['bench', 'training', *args]), 1)

def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    seq = tmp_path/'A-01'/'gt'
    seq.mkdir(parents=True)
    (seq/'gt.txt').write_text('1,1,0,0,10,10,1,1,1\n')
    (tmp_path/'A-01.txt').write_text('1,5,0,0,10,10,.9,-1,-1,-1\n')
    command = [sys.executable, '-W', 'ignore', '-u', '-m', 'vidnb', 'eval', 'mot', '--truth', str(tmp_path/'A-01'), '--pred', str(tmp_path/'A-01.txt'), '--out', str(tmp_path/'report')]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run.stdout.close()
    said = run.stderr.read()
    test_same([run.wait(300), said], [1, ''])
    assert (tmp_path/'report'/'report.html').is_file()
