use crate::{Folder, HEADER, hour};

/// The one line on standard error of a run that must refuse its input.
fn refused(files: &[(&str, &[u8])], arguments: &[&str]) -> String {
    let folder = Folder::with(files);
    let run = folder.run(arguments);
    assert_eq!(run.status, Some(2), "{}{}", run.output, run.error);
    assert_eq!(run.error.lines().count(), 1, "{}", run.error);
    run.error.trim_end().trim_start_matches("berth: ").to_owned()
}

fn refused_trace(text: &str) -> String {
    refused(&[("trace.csv", text.as_bytes())], &["--trace", "trace.csv"])
}

#[test]
fn times_that_make_no_sense_are_refused_with_line_and_column() {
    let with = |submit: &str| refused_trace(&format!("{HEADER}\na,w,0,,1,1\nb,w,{submit},,1,1\n"));
    let expected = "expected seconds, such as 90 or 0.25";
    for text in ["NaN", "inf", "soon", "1e300"] {
        let expected =
            format!("trace.csv: line 3, column submit_s: {text:?} is no time: {expected}");
        assert_eq!(with(text), expected);
    }
    let backwards = refused_trace(&format!("{HEADER}\na,w,60,,1,1\nb,w,30,,1,1\n"));
    assert_eq!(
        backwards,
        "trace.csv: line 3, column submit_s: 30.000s is before the row above, 60.000s: expected \
         rows in the order of submit_s, as `berth trace convert` writes them"
    );
}

#[test]
fn a_name_is_free_again_once_its_pod_has_ended() {
    let again = format!("{HEADER}\na,w,0,60,1,1\na,w,60,,1,1\n");
    let folder = Folder::with(&[("trace.csv", again.as_bytes())]);
    assert_eq!(folder.run(&["--trace", "trace.csv"]).status, Some(0));
    let twice = refused_trace(&format!("{HEADER}\na,w,0,61,1,1\na,w,60,,1,1\n"));
    assert_eq!(
        twice,
        "trace.csv: line 3, column name: default/a is there already: expected each pod once"
    );
}

#[test]
fn settings_that_are_not_known_are_refused() {
    let hour = hour();
    let files: [(&str, &[u8]); 2] =
        [("trace.csv", hour.as_bytes()), ("settings.yaml", b"berth:\n  consolidat: true\n")];
    let error = refused(&files, &["--trace", "trace.csv", "--settings", "settings.yaml"]);
    assert!(error.starts_with("settings.yaml: ") && error.contains("consolidat"), "{error}");
}

#[test]
fn a_window_without_pods_and_a_policy_that_is_none_are_refused() {
    let hour = hour();
    let files: [(&str, &[u8]); 1] = [("trace.csv", hour.as_bytes())];
    let error = refused(&files, &["--trace", "trace.csv", "--from", "2h", "--to", "1h"]);
    assert!(error.contains("expected an earlier moment"), "{error}");
    let folder = Folder::with(&files);
    let run = folder.run(&["--trace", "trace.csv", "--policy", "kaprenter"]);
    assert_eq!(run.status, Some(2));
    assert!(run.error.contains("expected one of berth, karpenter"), "{}", run.error);
}
