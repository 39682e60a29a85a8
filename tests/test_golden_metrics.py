"Recognition metrics against the numbers that the seed's own functions gave (golden group A)."
from collections import Counter
import numpy as np
import pytest
from vidnb.core.testing import golden, test_same as same
from vidnb.datasets.recognition import VideoDataset, score_metrics
from vidnb.metrics import recognition

BUILT = {'confusion_matrix': 20, 'mean_class_accuracy': 4, 'top_k_accuracy': 12, 'softmax': 6, 'get_weighted_score': 4,
         'mean_average_precision': 6, 'mmit_mean_average_precision': 6, 'binary_precision_recall_curve': 12}
#: functions of the group that score spans of time, whose cases test_golden_localization.py runs; one that is in neither list fails `test_no_name_is_forgotten`
SPANS = {'pairwise_temporal_iou', 'average_precision_at_temporal_iou', 'average_recall_at_avg_proposals', 'interpolated_precision_recall'}

def kind(name): return name.split('/')[0].split('#')[0]

def cases(name): return {k:c for k,c in golden('A_evaluation').items() if kind(k) == name and 'errors' not in k}

def test_no_name_is_forgotten():
    count = Counter(map(kind, golden('A_evaluation')))
    assert {k:n for k,n in count.items() if k not in SPANS} == BUILT
    assert SPANS <= count.keys()

@pytest.mark.parametrize('name', BUILT)
def test_values(name):
    for k,c in cases(name).items():
        got = getattr(recognition, name)(**c['inputs'], **c['params'])
        if isinstance(c['expected'], dict): got = dict(zip(c['expected'], got, strict=True))
        same(got, c['expected'], eps=0 if name == 'top_k_accuracy' else c.get('atol', 1e-12), where=k)

def test_what_v060_called_mean_average_precision():
    "The first versions' figure is the later versions' `mmit_mean_average_precision`, and another than the mean over classes"
    for k,c in cases('mean_average_precision').items():
        same(recognition.mmit_mean_average_precision(**c['inputs']), c['expected_v060'], eps=1e-12, where=k)
        assert abs(c['expected'] - c['expected_v060']) > 1e-3

def test_average_precision_of_many_classes():
    "One sort for all classes gives what the golden curve gives class by class, and it does not depend on the order of samples"
    rng = np.random.default_rng(5)
    s, t = rng.integers(0, 20, (200,30)), rng.random((200,30)) < .1
    t[:,7] = False
    ap = recognition.average_precision(s, t)
    for j in range(30):
        if j == 7: assert np.isnan(ap[j]); continue
        p,r,_ = recognition.binary_precision_recall_curve(s[:,j], t[:,j])
        same(ap[j], -np.sum(np.diff(r)*p[:-1]), eps=1e-12)
    i = rng.permutation(200)
    same(recognition.average_precision(s[i], t[i]), ap, eps=1e-12)
    same(recognition.mean_average_precision(s, t), float(np.delete(ap, 7).mean()), eps=1e-12)

def test_report_of_tensors():
    torch = pytest.importorskip('torch')
    s, l = torch.rand(20, 4), torch.arange(20) % 4
    a, b = recognition.class_report(s, l), recognition.class_report(list(s.numpy()), torch.nn.functional.one_hot(l).numpy(), threshold=-1)
    same(a[['n','AP']].to_numpy(), b[['n','AP']].to_numpy())
    same(b['recall'].to_numpy(), np.ones(4))
    same(b['precision'].to_numpy(), np.full(4, .25))
    same(list(a.columns), ['class', 'n', 'precision', 'recall', 'AP'])

@pytest.mark.parametrize('multi_class', [False, True])
def test_datasets_find_the_names(tmp_path, multi_class):
    "A dataset scores results by the mean average precisions, whether its samples have one label or several"
    (tmp_path/'list.txt').write_text('\n'.join(['a.mp4 0 2', 'b.mp4 1', 'c.mp4 2'] if multi_class else ['a.mp4 0', 'b.mp4 1', 'c.mp4 2']))
    ds = VideoDataset(tmp_path/'list.txt', [], multi_class=multi_class, num_classes=3)
    names = ['mean_average_precision', 'mmit_mean_average_precision']
    assert set(names) <= set(score_metrics())
    scores = [np.array([.9,.1,.3]), np.array([5.2,5.8,5.1]), np.array([.1,.2,.0])]
    third = (1/2 + 2/3)/2 if multi_class else 1/3          # of class 2: samples stand in the order 1, 0, 2
    want = [(1/2 + 1 + third)/3, (1 + 1 + 1/3)/3]
    same(ds.evaluate(scores, names), dict(zip(names, want)), eps=1e-12)

def test_errors():
    "Each recorded call that the seed refused is refused with the same type of exception"
    cs = [e for k,c in golden('A_evaluation').items() if k.startswith('confusion_matrix/errors') for e in c['expected']['cases']]
    assert len(cs) >= 4
    for e in cs:
        with pytest.raises({'ValueError':ValueError, 'TypeError':TypeError}[e['raises']]):
            eval(e['call'], {'confusion_matrix': recognition.confusion_matrix})

def test_present_only():
    "The mended mean is the golden one wherever every predicted class also occurs"
    cs = cases('mean_class_accuracy')
    differ = 0
    for c in cs.values():
        scores, labels = c['inputs']['scores'], c['inputs']['labels']
        only_predicted = {int(np.argmax(s)) for s in scores} - set(labels)
        got = recognition.mean_class_accuracy(scores, labels, present_only=True)
        recall = [np.mean([np.argmax(s) == l for s,m in zip(scores, labels) if m == l]) for l in sorted(set(labels))]
        same(got, float(np.mean(recall)), eps=1e-12)
        if only_predicted: assert got*len(recall) == pytest.approx(c['expected']*(len(recall)+len(only_predicted)))
        differ += bool(only_predicted)
    print(f'{differ} of {len(cs)} golden cases have a class that is only predicted')

def test_int_topk_and_tensors():
    torch = pytest.importorskip('torch')
    c = cases('top_k_accuracy')['top_k_accuracy/0/1-3']
    scores, labels = c['inputs']['scores'], c['inputs']['labels']
    same(recognition.top_k_accuracy(scores, labels, 3), c['expected'][1:])
    same(recognition.top_k_accuracy(torch.tensor(np.stack(scores)), torch.tensor(labels), (1,3)), c['expected'])

def test_order_of_samples_and_batches():
    "Figures do not depend on the order of samples, and uneven batches add up"
    rng = np.random.default_rng(3)
    s, l = rng.integers(0, 5, (301,7)).astype(float), rng.integers(0, 7, 301)
    for perm in (rng.permutation(301), np.arange(301)[::-1]):
        same(recognition.top_k_accuracy(s[perm], l[perm], (1,2,5)), recognition.top_k_accuracy(s, l, (1,2,5)))
        same(recognition.mean_class_accuracy(s[perm], l[perm]), recognition.mean_class_accuracy(s, l))
    p = s.argmax(1)
    parts = [recognition.confusion_matrix(p[a:b], l[a:b], n_classes=7) for a,b in ((0,1), (1,64), (64,301))]
    same(sum(parts), recognition.confusion_matrix(p, l, n_classes=7))
    sizes = [1, 63, 237]
    acc = [recognition.top_k_accuracy(s[a:b], l[a:b], 2)[0] for a,b in ((0,1), (1,64), (64,301))]
    assert np.dot(acc, sizes)/301 == pytest.approx(recognition.top_k_accuracy(s, l, 2)[0])
