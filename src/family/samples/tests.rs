//! The output of generators, and what the policy accepts.

use std::borrow::Cow;

use super::*;
use crate::family::MetricType;
use crate::family::sample_policy::DropCounts;

fn tails(reserved: &[Cow<'static, str>], write: impl FnOnce(&mut Samples<'_>)) -> String {
    let mut buffer = SampleBuffer::default();
    let policy = SamplePolicy::new(MetricType::Gauge, reserved, None);
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
    let policy = SamplePolicy::new(MetricType::Counter, BASE, None);
    let mut samples = Samples::new(&mut buffer, policy);
    samples.label("a", "1").value(-1);
    samples.label("a", "1").value(f64::NAN);
    samples.label("a", "1").value(0);
    samples.label("a", "1").value(1);
    assert_eq!(buffer.text(), b",a=\"1\"} 0\n");
    let dropped = DropCounts {
        repeated_series: 1,
        invalid_counters: 2,
        panics: 0,
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
