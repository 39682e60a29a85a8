"Faulty files of tracking results: each has the answer of TrackEval, the official tool, or an error that names file and line"
import gzip
import shutil
import zipfile
import numpy as np
import pandas as pd
import pytest
from vidnb.core.testing import expect_error, test_same as same
from vidnb.datasets.motchallenge import MOT_DISTRACTORS, evaluate_mot, find_results, find_trackers, write_mot
from test_mot import COUNTS, compare, crowd, official

def table(f, i, b): return pd.DataFrame(dict(frame=f, id=i+1, x=b[:,0], y=b[:,1], w=b[:,2]-b[:,0], h=b[:,3]-b[:,1]))

@pytest.fixture
def layout(tmp_path):
    "Two sequences of MOT17 and a tracker's results, in the official layout"
    (tmp_path/'seqmaps').mkdir()
    (tmp_path/'seqmaps'/'MOT17-train.txt').write_text('name\nS-1\nS-2\n')
    res = tmp_path/'trackers'/'MOT17-train'/'mine'/'data'
    res.mkdir(parents=True)
    for k,name in enumerate(('S-1', 'S-2')):
        gt, tr, n = crowd(k, people=8, frames=12, width=200)
        seq = tmp_path/'gt'/'MOT17-train'/name
        (seq/'gt').mkdir(parents=True)
        (seq/'seqinfo.ini').write_text(f'[Sequence]\nname={name}\nseqLength={n}\nimWidth=200\nimHeight=200\n')
        kinds = np.array([1,1,1,7,1,8,1,3])
        write_mot(table(*gt).assign(conf=1., cls=kinds[gt[1]], visibility=1.), seq/'gt'/'gt.txt')
        write_mot(table(*tr).assign(conf=.5), res/f'{name}.txt')
    return tmp_path

def theirs(root, zipped=False, tracker='mine', benchmark='MOT17'):
    import trackeval
    quiet = dict(PRINT_RESULTS=False, PRINT_CONFIG=False, TIME_PROGRESS=False, OUTPUT_SUMMARY=False, OUTPUT_DETAILED=False, OUTPUT_EMPTY_CLASSES=False, PLOT_CURVES=False, LOG_ON_ERROR=None)
    data = trackeval.datasets.MotChallenge2DBox(dict(GT_FOLDER=str(root/'gt'), TRACKERS_FOLDER=str(root/'trackers'), SEQMAP_FOLDER=str(root/'seqmaps'), BENCHMARK=benchmark,
                                                     TRACKERS_TO_EVAL=[tracker], PRINT_CONFIG=False, INPUT_AS_ZIP=zipped))
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR({'PRINT_CONFIG': False}), trackeval.metrics.Identity({'PRINT_CONFIG': False})]
    return trackeval.Evaluator(trackeval.Evaluator.get_default_eval_config() | quiet).evaluate([data], metrics)[0]['MotChallenge2DBox'][tracker]

def ours(root, said=None, tracker='mine', **more): return evaluate_mot(root/'gt'/'MOT17-train', root/'trackers'/'MOT17-train'/tracker, tell=(said if said is not None else []).append, **more)

def equal(root, said=None):
    want = theirs(root)
    for name,scores in ours(root, said).videos.items(): compare(scores, {k: v for m in want[name]['pedestrian'].values() for k,v in m.items() if k not in COUNTS})

def first(root): return root/'trackers'/'MOT17-train'/'mine'/'data'/'S-1.txt'
def lines(path): return path.read_text().splitlines()
def change(path, k, column, value):
    rows = lines(path)
    cells = rows[k].split(',')
    cells[column] = str(value)
    rows[k] = ','.join(cells)
    path.write_text('\n'.join(rows) + '\n')

def shuffled(p): p.write_text('\n'.join(np.random.default_rng(0).permutation(lines(p))) + '\n')
def whole_as_float(p): p.write_text('\n'.join(f'{float(f)},{float(i)},{rest}' for f,i,rest in (o.split(',', 2) for o in lines(p))) + '\n')
def with_sep(sep): return lambda p: p.write_text(p.read_text().replace(',', sep))
def far_out(p): [change(p, k, 2, v) for k,v in ((0, -500), (1, 5000), (2, -30))]
def negative(p): [change(p, k, c, -9) for k,c in ((0, 4), (1, 5), (2, 4), (2, 5))]
def empty_box(p): [change(p, k, 4, 0) for k in range(3)]

ANSWERED = dict(frames_out_of_order=shuffled, ids_as_floats=whole_as_float, spaces=with_sep(' '), tabs=with_sep('\t'), commas_and_spaces=with_sep(', '), outside=far_out, negative=negative,
                no_area=empty_box, empty_file=lambda p: p.write_text(''), windows=lambda p: p.write_bytes(p.read_bytes().replace(b'\n', b'\r\n')), no_last_line_end=lambda p: p.write_text(p.read_text().strip()),
                class_column_one=lambda p: p.write_text(p.read_text().replace(',-1,-1', ',1,-1')))

@pytest.mark.parametrize('fault', ANSWERED)
def test_the_official_answer(fault, layout, official):
    ANSWERED[fault](first(layout))
    said = []
    equal(layout, said)
    flat = [s for s in said if 'have no area' in s]
    assert bool(flat) == (fault in ('negative', 'no_area')), said
    if flat: assert flat == ['3 boxes of the result have no area: they match nothing and count as false positives']

def test_faults_of_the_truth_that_have_an_official_answer(layout, official):
    gt = layout/'gt'/'MOT17-train'/'S-1'/'gt'/'gt.txt'
    shuffled(gt)
    negative(gt)
    for k in range(4, 9): change(gt, k, 6, '0.5')   # cut off to 0: left out
    change(gt, 10, 6, 2)
    said = []
    equal(layout, said)
    assert any('true boxes do not count' in s for s in said) and any('were taken out' in s for s in said)

def test_what_is_left_out_is_counted(layout):
    said, gt = [], {n: pd.read_csv(layout/'gt'/'MOT17-train'/n/'gt'/'gt.txt', header=None) for n in ('S-1', 'S-2')}
    metrics = ours(layout, said)
    boxes = sum(len(lines(first(layout).with_name(f'{n}.txt'))) for n in gt)
    scored = sum(v['CLR_TP'] + v['CLR_FP'] for v in metrics.videos.values())
    assert boxes > scored and said == [f'{boxes-scored} boxes of the result lie on what does not count in MOT17 and were taken out',
                                       f'{sum(int((g[7] != 1).sum()) for g in gt.values())} true boxes do not count (marked 0, or no pedestrians) and were left out']

BOTH_REFUSE = dict(
    twice=(lambda p: p.write_text(p.read_text() + lines(p)[0] + '\n'), lambda p: f'S-1.txt:{len(lines(p))}: id {lines(p)[0].split(",")[1]} stands twice in frame 1'),
    past_the_end=(lambda p: change(p, 5, 0, 13), lambda p: 'S-1.txt:6: frame is 13; the sequence ends with frame 12'),
    frame_zero=(lambda p: change(p, 3, 0, 0), lambda p: 'S-1.txt:4: frame is 0; frames count from 1'),
    nan=(lambda p: change(p, 2, 3, 'nan'), lambda p: "S-1.txt:3: y is 'nan'"),
    word=(lambda p: change(p, 2, 3, 'left'), lambda p: "S-1.txt:3: y is 'left', which is no number"),
    other_class=(lambda p: change(p, 4, 7, 3), lambda p: 'S-1.txt:5: class is 3; expected'),
    five_columns=(lambda p: p.write_text('\n'.join(','.join(o.split(',')[:5]) for o in lines(p))), lambda p: 'S-1.txt:1 has 5 numbers'),
    torn_line=(lambda p: p.write_text(p.read_text()[:-30]), lambda p: f'S-1.txt:{len(lines(p))}'),
    mixed=(lambda p: p.write_text(p.read_text().replace(',', ' ', 3)), lambda p: 'S-1.txt:1'),
    missing=(lambda p: p.unlink(), lambda p: 'mine has no result for S-1'))

@pytest.mark.parametrize('fault', BOTH_REFUSE)
def test_both_refuse(fault, layout, official):
    make, why = BOTH_REFUSE[fault]
    make(first(layout))
    with pytest.raises(Exception): theirs(layout)
    with expect_error(ValueError, why(first(layout))): ours(layout)

def test_line_numbers_count_empty_lines(layout):
    p = first(layout)
    p.write_text('\n\n' + p.read_text().replace('\n', '\n\n') + lines(p)[0])
    with expect_error(ValueError, f'S-1.txt:{len(lines(p))}: id'): ours(layout)

ONLY_WE_REFUSE = dict(half_a_frame=(lambda p: change(p, 1, 0, 1.5), 'S-1.txt:2: frame is 1.5; it is a whole number'), half_an_id=(lambda p: change(p, 1, 1, 999.5), 'S-1.txt:2: id is 999.5; it is a whole number'),
                      semicolons=(with_sep(';'), 'S-1.txt:1 has 1 numbers'))

@pytest.mark.parametrize('fault', ONLY_WE_REFUSE)
def test_what_the_official_tool_guesses_is_refused(fault, layout, official):
    make, why = ONLY_WE_REFUSE[fault]
    make(first(layout))
    theirs(layout)   # cuts halves off, guesses the separator
    with expect_error(ValueError, why): ours(layout)

def test_what_the_official_tool_cannot_read_is_read(layout):
    p = first(layout)
    want = ours(layout).table().to_numpy()
    p.write_bytes(b'\xef\xbb\xbf' + p.read_bytes())
    same(ours(layout).table().to_numpy(), want)
    p.with_name('S-1.txt.gz').write_bytes(gzip.compress(p.read_bytes()))
    p.unlink()
    same(ours(layout).table().to_numpy(), want)

def test_faults_of_the_truth_name_file_and_line(layout):
    gt = layout/'gt'/'MOT17-train'/'S-2'/'gt'/'gt.txt'
    whole = gt.read_text()
    for make,why in ((lambda: gt.write_text(whole + whole.splitlines()[2] + '\n'), f'gt.txt:{len(whole.splitlines())+1}: id'), (lambda: change(gt, 3, 7, 14), 'gt.txt:4: class is 14; expected 1 to 13'),
                     (lambda: change(gt, 3, 0, 99), 'gt.txt:4: frame is 99; the sequence ends with frame 12'), (lambda: change(gt, 3, 4, 'inf'), "gt.txt:4: w is 'inf'")):
        gt.write_text(whole)
        make()
        with expect_error(ValueError, why): ours(layout)

def test_zips(layout, official):
    "As TrackEval wants them, and with folders and what macOS adds"
    want = theirs(layout)['COMBINED_SEQ']['pedestrian']['HOTA']['HOTA']
    data = first(layout).parent
    gt = layout/'gt'/'MOT17-train'
    for name,files in ((data.with_name('data.zip'), {p.name: p for p in data.iterdir()}), (gt/'data.zip', {f'{n}.txt': gt/n/'gt'/'gt.txt' for n in ('S-1', 'S-2')})):
        with zipfile.ZipFile(name, 'w', zipfile.ZIP_DEFLATED) as z:
            for n,p in files.items(): z.write(p, n)
    shutil.rmtree(data)
    same(theirs(layout, zipped=True)['COMBINED_SEQ']['pedestrian']['HOTA']['HOTA'], want)
    same(ours(layout).value['HOTA'], float(want.mean()), eps=1e-12)   # mine/data.zip
    with zipfile.ZipFile(data.with_name('data.zip')) as z, zipfile.ZipFile(layout/'up.zip', 'w') as up:
        for n in z.namelist():
            up.writestr(f'submission/MOT17/{n}', z.read(n))
            up.writestr(f'__MACOSX/submission/MOT17/._{n}', b'\0\5')
    same(evaluate_mot(gt, layout/'up.zip', tell=[].append).value['HOTA'], float(want.mean()), eps=1e-12)

def test_faults_in_a_zip_name_it(layout):
    p = first(layout)
    change(p, 2, 3, 'nan')
    with zipfile.ZipFile(layout/'up.zip', 'w') as z:
        for o in p.parent.iterdir(): z.write(o, f'a/{o.name}')
    with expect_error(ValueError, "up.zip/a/S-1.txt:3: y is 'nan'"): evaluate_mot(layout/'gt'/'MOT17-train', layout/'up.zip')
    raw = bytearray((layout/'up.zip').read_bytes())
    raw[200:240] = bytes(40)   # bytes of the first file changed
    (layout/'up.zip').write_bytes(raw)
    with expect_error(ValueError, 'up.zip/a/S-'): [f() for f in find_results(layout/'up.zip').values()]

def test_more_sequences_than_truth(layout, official):
    extra = first(layout).with_name('S-3.txt')
    extra.write_text(first(layout).read_text())
    said = []
    equal(layout, said)
    assert said[0] == 'not scored, as there is no truth: S-3'

def test_a_seqmap_chooses(layout):
    said = []
    (layout/'one.txt').write_text('name\nS-2\n')
    assert list(ours(layout, said, sequences=layout/'one.txt').videos) == ['S-2'] and said[0] == 'not scored, as nobody asks for them: S-1'

def test_several_trackers(layout):
    home = layout/'trackers'/'MOT17-train'
    shutil.copytree(home/'mine', home/'yours')
    assert list(find_trackers(home)) == ['mine', 'yours']
    with expect_error(ValueError, 'has results of 2 trackers, mine, yours'): find_results(home)

def test_places_in_the_world(tmp_path, official):
    "Truth of MOT15 with metres where other truth has the kind: the official tool cuts them off and never looks"
    root = tmp_path
    (root/'seqmaps').mkdir()
    (root/'seqmaps'/'MOT15-train.txt').write_text('name\nS-1\n')
    gt, tr, n = crowd(0, people=5, frames=8)
    seq, res = root/'gt'/'MOT15-train'/'S-1', root/'trackers'/'MOT15-train'/'mine'/'data'
    (seq/'gt').mkdir(parents=True)
    res.mkdir(parents=True)
    (seq/'seqinfo.ini').write_text(f'[Sequence]\nseqLength={n}\n')
    rows = table(*gt)
    (seq/'gt'/'gt.txt').write_text(''.join(f'{o.frame},{o.id},{o.x},{o.y},{o.w},{o.h},1,{-o.x/90},{o.y/90},0\n' for o in rows.itertuples()))
    write_mot(table(*tr), res/'S-1.txt')
    want = theirs(root, benchmark='MOT15')
    got = evaluate_mot(root/'gt'/'MOT15-train', res, 'MOT15')
    compare(got.videos['S-1'], {k: v for m in want['S-1']['pedestrian'].values() for k,v in m.items() if k not in COUNTS})
    with expect_error(ValueError, 'gt.txt:1: cls is'): evaluate_mot(root/'gt'/'MOT15-train', res, 'MOT17')

def test_every_benchmark_is_known(): assert set(MOT_DISTRACTORS) == {'MOT15', 'MOT16', 'MOT17', 'MOT20', 'DanceTrack', 'SportsMOT'}
