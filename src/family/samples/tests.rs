//! Tests of the samples that generators write, and of the samples that the policy accepts.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::family::MetricType;
use crate::family::referenced_labels::DictionaryColumn;
use crate::family::sample_policy::DropCounts;
use crate::limits::Limits;

fn tails(reserved: &[Cow<'static, str>], write: impl FnOnce(&mut Samples<'_>)) -> String {
    let mut buffer = SampleBuffer::default();
    let policy = SamplePolicy::new(MetricType::Gauge, reserved, None, Limits::default(), 0);
    write(&mut Samples::new(&mut buffer, policy));
    String::from_utf8(buffer.text).unwrap()
}

const BASE: &[Cow<'static, str>] = &[Cow::Borrowed("namespace"), Cow::Borrowed("pod")];

#[test]
fn a_tail_continues_the_base_labels() {
    let text = tails(BASE, |s| {
        s.value(1);
        s.label("phase", "Running").label("n", 3).value(true);
    });
    assert_eq!(text, "} 1\n,phase=\"Running\",n=\"3\"} 1\n");
}

#[test]
fn without_base_labels_a_tail_opens_the_braces_or_has_none() {
    let text = tails(&[], |s| {
        s.value(0.5);
        s.label("a", "x").label("b", None::<&str>).value(2);
    });
    assert_eq!(text, " 0.5\n{a=\"x\",b=\"\"} 2\n");
}

#[test]
fn equal_label_sets_keep_the_first_value_only() {
    let text = tails(BASE, |s| {
        s.label("a", "x").value(1);
        s.label("a", "x").value(2);
        s.value(3);
        s.value(4);
    });
    assert_eq!(text, ",a=\"x\"} 1\n} 3\n");
}

#[test]
fn empty_labels_and_the_order_of_labels_do_not_make_another_series() {
    let text = tails(BASE, |s| {
        s.label("a", "").value(1);
        s.value(2);
        s.label("b", "").label("a", None::<&str>).value(3);
        s.label("a", "x").value(4);
        s.label("b", "").label("a", "x").value(5);
        s.label("b", "y").label("a", "x").value(6);
        s.label("a", "x").label("b", "y").value(7);
        s.label("a", "x=\"\"").value(8);
        assert_eq!(s.len(), 4);
    });
    assert_eq!(
        text,
        ",a=\"\"} 1\n,a=\"x\"} 4\n,b=\"y\",a=\"x\"} 6\n,a=\"x=\\\"\\\"\"} 8\n"
    );
    let text = tails(&[], |s| {
        s.value(1);
        s.label("a", "").value(2);
    });
    assert_eq!(text, " 1\n");
    let text = tails(BASE, |s| {
        s.label("a", 1).label("b", 2).value(1);
        s.label("b", 2).label("a", 1).value(2);
    });
    assert_eq!(text, ",a=\"1\",b=\"2\"} 1\n");
}

#[test]
fn an_empty_label_that_replaces_a_joined_label_makes_another_series() {
    let joined = [Cow::Borrowed("team")];
    let mut buffer = SampleBuffer::default();
    let policy = SamplePolicy::new(MetricType::Gauge, BASE, None, Limits::default(), 0);
    let mut samples = Samples::new(&mut buffer, policy.with_joined(&joined, true));
    samples.value(1);
    samples.label("team", "").value(2);
    samples.label("team", "").label("a", "").value(3);
    assert_eq!(buffer.text(), b"} 1\n,team=\"\"} 2\n");
}

/// The labels of a sample. The indexes of the names determine their order.
type Labels = Vec<(usize, &'static str)>;

/// Returns label sets of a family. In half of the families, all samples have the same label names.
fn label_sets() -> impl Strategy<Value = Vec<Labels>> {
    let value = || prop::sample::select(vec!["", "1", "2"]);
    let any = prop::collection::vec((0..4_usize, value()), 0..4);
    let any = any.prop_map(|mut labels| {
        let mut seen = BTreeSet::new();
        labels.retain(|(name, _)| seen.insert(*name));
        labels
    });
    let alike =
        (Just(vec![2, 0, 1]).prop_shuffle(), 0..4_usize).prop_flat_map(move |(names, count)| {
            let values = prop::collection::vec(value(), count);
            let labels = values.prop_map(move |values| {
                let names = names.iter().copied();
                names.zip(values).collect::<Labels>()
            });
            prop::collection::vec(labels, 0..50)
        });
    prop_oneof![prop::collection::vec(any, 0..50), alike]
}

/// Returns the samples that must remain: the first sample of each series.
fn first_of_each_series(sets: &[Labels]) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let series = sets.iter().map(|labels| {
        let labels = labels.iter().filter(|(_, value)| !value.is_empty());
        labels.copied().collect::<BTreeMap<_, _>>()
    });
    let series = series.enumerate();
    let new = series.filter(|(_, series)| seen.insert(series.clone()));
    new.map(|(at, _)| at).collect()
}

const NAMES: [&str; 4] = ["a", "ab", "a_b", "c"];

proptest! {
    #[test]
    fn the_first_sample_of_each_series_remains(sets in label_sets()) {
        let text = tails(BASE, |s| {
            for (at, labels) in sets.iter().enumerate() {
                let sample = labels.iter().fold(s.sample(), |sample, (name, value)| {
                    sample.label(NAMES[*name], *value)
                });
                sample.value(at as f64);
            }
        });
        let remaining = text.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap());
        prop_assert_eq!(remaining.collect::<Vec<usize>>(), first_of_each_series(&sets));
    }

    #[cfg(feature = "custom-resources")]
    #[test]
    fn the_first_sample_of_each_series_with_sorted_labels_remains(mut sets in label_sets()) {
        let text = tails(BASE, |s| {
            for (at, labels) in sets.iter_mut().enumerate() {
                labels.sort_by_key(|(name, _)| NAMES[*name]);
                let sample = labels.iter().fold(s.sample(), |sample, (name, value)| {
                    let name = NAMES[*name];
                    if at % 2 == 0 {
                        return sample.unchecked_label(name, *value);
                    }
                    sample.unchecked_label_text(name, format!("{name}=\"{value}\"").as_bytes())
                });
                sample.value(at as f64);
            }
        });
        let remaining = text.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap());
        prop_assert_eq!(remaining.collect::<Vec<usize>>(), first_of_each_series(&sets));
    }
}

#[test]
fn duplicates_among_many_samples_are_found_by_hash() {
    let text = tails(BASE, |s| {
        for round in 0..2 {
            for n in 0..1000 {
                s.label("n", n).value(round);
            }
        }
        assert_eq!(s.len(), 1000);
    });
    assert_eq!(text.lines().count(), 1000);
    assert!(text.lines().all(|line| line.ends_with("} 0")));
}

#[test]
fn a_repeated_or_reserved_label_name_is_left_out() {
    let text = tails(BASE, |s| {
        s.label("a", "1")
            .label("a", "2")
            .label("pod", "3")
            .label("b-c", "4")
            .value(1);
    });
    assert_eq!(text, ",a=\"1\",b_c=\"4\"} 1\n");
}

#[test]
fn an_unfinished_sample_leaves_no_trace() {
    let text = tails(BASE, |s| {
        let _ = s.label("a", "1");
        s.label("b", "2").value(1);
    });
    assert_eq!(text, ",b=\"2\"} 1\n");
}

#[test]
fn a_counter_has_no_negative_samples() {
    let mut buffer = SampleBuffer::default();
    let policy = SamplePolicy::new(MetricType::Counter, BASE, None, Limits::default(), 0);
    let mut samples = Samples::new(&mut buffer, policy);
    samples.label("a", "1").value(-1);
    samples.label("a", "1").value(f64::NAN);
    samples.label("a", "1").value(0);
    samples.label("a", "1").value(1);
    assert_eq!(buffer.text(), b",a=\"1\"} 0\n");
    let dropped = DropCounts {
        repeated_series: 1,
        invalid_counters: 2,
        ..DropCounts::default()
    };
    assert_eq!(buffer.dropped(), dropped);
}

#[test]
fn colliding_map_keys_all_get_suffixes() {
    let entries = [("a-b", "dash"), ("a.b", "dot"), ("c", "1")];
    let text = tails(BASE, |s| {
        s.sample().map_labels("label", entries.into_iter()).value(1);
    });
    assert_eq!(
        text,
        ",label_a_b_conflict1=\"dash\",label_a_b_conflict2=\"dot\",label_c=\"1\"} 1\n"
    );
}

#[test]
fn a_map_key_does_not_repeat_a_reserved_name() {
    let reserved = [Cow::Borrowed("label_app")];
    let entries = [("app", "shop"), ("team", "red")];
    let text = tails(&reserved, |s| {
        s.sample().map_labels("label", entries.into_iter()).value(1);
    });
    assert_eq!(text, ",label_team=\"red\"} 1\n");
}

/// Calls `write` with the given limits. Returns the tails that were kept, and the counts of dropped samples.
fn limited(limits: Limits, write: impl FnOnce(&mut Samples<'_>)) -> (String, DropCounts) {
    let mut buffer = SampleBuffer::default();
    let policy = SamplePolicy::new(MetricType::Gauge, BASE, None, limits, 10);
    write(&mut Samples::new(&mut buffer, policy));
    (
        String::from_utf8(buffer.text.clone()).unwrap(),
        buffer.dropped(),
    )
}

#[test]
fn samples_beyond_the_limit_are_left_out_and_counted_once() {
    let limits = Limits::default().samples_per_family(3);
    let (text, dropped) = limited(limits, |s| {
        // Repeated samples also count towards the limit on samples.
        for n in [1, 1, 2, 3, 4, 5] {
            s.label("n", n).value(0);
        }
        s.label("n", 6).maybe_value(None::<f64>);
        assert_eq!((s.len(), s.is_full()), (2, true));
    });
    assert_eq!(text, ",n=\"1\"} 0\n,n=\"2\"} 0\n");
    let expected = DropCounts {
        repeated_series: 1,
        over_sample_limit: 1,
        ..DropCounts::default()
    };
    assert_eq!(dropped, expected);
}

#[test]
fn reaching_a_limit_does_not_exceed_it() {
    let limits = Limits::default().samples_per_family(2).labels_per_sample(2);
    let (text, dropped) = limited(limits, |s| {
        for n in 0..2 {
            assert!(!s.is_full());
            s.label("n", n).label("m", n).value(0);
        }
        s.label("n", 6).maybe_value(None::<f64>);
    });
    assert_eq!(text.lines().count(), 2);
    assert_eq!(dropped, DropCounts::default());
}

#[test]
fn labels_beyond_the_limit_are_left_out_and_counted_once() {
    let entries = [("a", "1"), ("b", "2"), ("b.c", "3"), ("b/c", "4")];
    let limits = Limits::default().labels_per_sample(2);
    let (text, dropped) = limited(limits, |s| {
        s.sample().map_labels("label", entries.into_iter()).value(1);
        s.label("x", 1).label("y", 2).label("z", 3).value(1);
    });
    assert_eq!(
        text,
        ",label_a=\"1\",label_b=\"2\"} 1\n,x=\"1\",y=\"2\"} 1\n"
    );
    let expected = DropCounts {
        over_label_limit: 1,
        ..DropCounts::default()
    };
    assert_eq!(dropped, expected);
    // Keys that result in the same label name also count towards the limit on labels.
    let (text, dropped) = limited(Limits::default().labels_per_sample(3), |s| {
        let entries = [("b.c", "3"), ("b/c", "4"), ("d", "5"), ("e", "6")];
        s.sample().map_labels("label", entries.into_iter()).value(1);
    });
    assert_eq!(
        text,
        ",label_b_c_conflict1=\"3\",label_b_c_conflict2=\"4\",label_d=\"5\"} 1\n"
    );
    assert_eq!(dropped, expected);
}

#[test]
fn the_text_of_a_family_is_limited_with_its_base_labels() {
    // 20 samples may have 20 KiB in total. Each sample has 10 bytes of base labels.
    let limits = Limits::default().samples_per_family(20);
    let value = "v".repeat(4096);
    let (text, dropped) = limited(limits, |s| {
        for n in 0..20 {
            s.label("n", n).label("value", &value).value(0);
        }
    });
    assert_eq!((text.lines().count(), dropped.over_sample_limit), (5, 1));
}

#[test]
fn the_text_of_an_object_is_limited_over_all_families() {
    let mut buffer = SampleBuffer::default();
    let limits = Limits::default().text_per_object(10_000);
    let policy = SamplePolicy::new(MetricType::Gauge, BASE, None, limits, 10);
    let (long, short) = ("v".repeat(3_000), "v".repeat(500));
    for _ in 0..3 {
        let mut samples = Samples::new(&mut buffer, policy);
        samples.label("a", &long).value(0);
        samples.label("b", &long).value(0);
    }
    assert_eq!(
        buffer.text().len() / 3_000,
        3,
        "a sample is written whole or not at all"
    );
    // A smaller sample is accepted, because it is within the limit.
    let mut samples = Samples::new(&mut buffer, policy);
    samples.label("a", &short).value(0);
    samples.label("b", &short).value(0);
    samples.label("b", 1).value(0);
    assert_eq!((samples.len(), samples.is_full()), (2, false));
    assert_eq!(buffer.dropped().over_text_limit, 3);
    assert!(buffer.text().len() < 10_000);
    // The limit applies to each object separately.
    buffer.clear();
    Samples::new(&mut buffer, policy).label("a", &long).value(0);
    assert!(buffer.text().len() > 3_000);
}

#[test]
fn references_count_with_the_length_of_their_values() {
    let mut buffer = SampleBuffer::default();
    let limits = Limits::default().text_per_object(1_000);
    let policy = SamplePolicy::new(MetricType::Gauge, BASE, None, limits, 10);
    let mut samples = Samples::new(&mut buffer, policy);
    let node = "n".repeat(100);
    for number in 0..100 {
        let sample = samples.label("number", number);
        sample
            .referenced_label(DictionaryColumn::Node, "node", &*node)
            .value(0);
    }
    assert!((5..10).contains(&samples.len()), "{}", samples.len());
}

#[test]
fn zero_disables_a_limit() {
    let limits = Limits::default()
        .samples_per_family(0)
        .labels_per_sample(0)
        .text_per_object(0);
    let (text, dropped) = limited(limits, |s| {
        for n in 0..20_000 {
            s.label("n", n).value(0);
        }
        let keys: Vec<_> = (0..2000).map(|n| format!("k{n:04}")).collect();
        let entries = keys.iter().map(|key| (key.as_str(), ""));
        s.sample().map_labels("label", entries).value(1);
    });
    assert_eq!(
        (text.lines().count(), dropped),
        (20_001, DropCounts::default())
    );
}
