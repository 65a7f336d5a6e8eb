//! Tests the messages about problems on the landing page.

use super::*;

#[test]
fn a_limit_is_one_message_with_its_resources() {
    let page = page("nodes");
    let html = render(&page);
    assert_eq!(html.matches("--sample-limit").count(), 1, "{html}");
    assert!(
        html.contains("<p>pods 3 times, nodes 3 times</p>"),
        "{html}"
    );
    let text = super::super::super::text::render(&page);
    let line = "! --sample-limit: samples are left out (pods 3 times, nodes 3 times); an update of an object counts once for each affected family; the log names the first object of each resource\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn the_cause_of_not_being_ready_comes_before_other_problems() {
    let mut page = page("other");
    let data = page.data.as_mut().unwrap();
    data.status.ready = false;
    data.status.not_ready = Some("not ready: secrets (forbidden)".to_owned());
    data.status.problems.insert(
        0,
        Problem {
            state: "forbidden".to_owned(),
            is_blocking: true,
            resources: vec!["secrets".to_owned()],
            ..data.status.problems[0].clone()
        },
    );
    let text = super::super::super::text::render(&page);
    let messages =
        "\n! not ready: secrets (forbidden)\n! The API server forbids resources: secrets. Add ";
    assert!(text.contains(messages), "{text}");
    let html = render(&page);
    let at = [
        "<b>not ready: secrets (forbidden)</b>",
        "<b>The API server forbids resources: secrets.</b>",
        "role=\"alert\"><p>other</p>",
        "<b>other, other: other</b>",
    ];
    let at = at.map(|part| html.find(part).unwrap_or_else(|| panic!("{part}: {html}")));
    assert!(at.is_sorted(), "{at:?}");
}

#[test]
fn resources_that_the_api_server_forbids_are_one_message() {
    let mut page = page("other");
    let data = page.data.as_mut().unwrap();
    let forbidden = |name: &str, seconds| Problem {
        state: "forbidden".to_owned(),
        is_normal: false,
        is_blocking: false,
        resources: vec![name.to_owned()],
        error: Some(format!("{name} is forbidden")),
        removal_seconds: seconds,
    };
    data.status.problems = vec![
        forbidden("leases", Some(7200.0)),
        forbidden("secrets", Some(60.0)),
    ];
    data.missing_rules = ["missing in a ClusterRole: rules: []".to_owned()].into();
    let html = render(&page);
    assert_eq!(html.matches("The API server forbids").count(), 1, "{html}");
    let message = html.split("The API server forbids").nth(1).unwrap();
    let message = message.split("</div></div>").next().unwrap();
    for part in [
        " resources: leases, secrets.</b>",
        "<p>Stored objects are removed in 1m ",
        "<p>Rules that are missing in a ClusterRole:</p><pre class=\"copy\">rules: []</pre>",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    for error in ["<p>leases is forbidden</p>", "<p>secrets is forbidden</p>"] {
        assert_eq!(html.matches(error).count(), 1, "{html}");
    }

    let text = super::super::super::text::render(&page);
    let message = "! The API server forbids resources: leases, secrets. Add the rules to the role of the exporter; \
         `kube-state-metrics rbac` writes complete roles.\n    \
         Stored objects are removed in 1m 0s unless the API server permits the exporter to list them.\n    \
         missing in a ClusterRole: rules: []\n    \
         The API server answers: leases is forbidden\n    \
         The API server answers: secrets is forbidden\n! other\n";
    assert!(text.contains(message), "{text}");

    // If a message concerns many resources, it has a list that the user can open.
    let names: Vec<_> = (0..9).map(|number| format!("r{number}")).collect();
    let data = page.data.as_mut().unwrap();
    data.status.problems.truncate(1);
    data.status.problems[0].resources.clone_from(&names);
    let html = render(&page);
    let list = format!(
        "<summary>Which resources</summary><p>{}</p>",
        names.join(", ")
    );
    assert!(
        html.contains("forbids resources: 9.</b>") && html.contains(&list),
        "{html}"
    );
}

#[test]
fn the_problems_come_before_the_figures() {
    let html = render(&page("text"));
    let [problem, figures] =
        ["class=\"message bad\"", "class=\"figures\""].map(|own| html.find(own));
    assert!(problem.is_some() && problem < figures, "{html}");
}
