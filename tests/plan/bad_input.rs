use crate::Folder;

const POD: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: [{ name: m }] }\n";
const TRACE: &str = "name,workload,submit_s,end_s,cpu_milli,memory_mib\n";

/// Exit status 2 and one line, which begins so.
fn assert_refused(folder: &Folder, arguments: &[&str], expected: &str) {
    let run = folder.run(arguments);
    assert_eq!(run.status, Some(2), "{arguments:?}: {}", run.error);
    assert_eq!(run.output, "", "{arguments:?}");
    assert_eq!(run.error.lines().count(), 1, "{arguments:?}: {}", run.error);
    assert!(run.error.starts_with(&format!("berth: {expected}")), "{arguments:?}: {}", run.error);
}

#[test]
fn bad_catalogs_name_file_line_column_and_what_was_expected() {
    let nothing: [(&str, &str); 0] = [];
    let catalog = Folder::with(&nothing).read("catalog.csv");
    let header = catalog.lines().next().unwrap();
    for (rows, expected) in [
        (
            "a,amd64,1,1,z,spot,0",
            "bad.csv: line 2, column price_per_hour: \"0\" is no price: expected a number over 0",
        ),
        (
            "a,amd64,1,1,z,spot,-1",
            "bad.csv: line 2, column price_per_hour: \"-1\" is no price: expected",
        ),
        (
            "a,amd64,1,1,z,spot,NaN",
            "bad.csv: line 2, column price_per_hour: \"NaN\" is no price: expected",
        ),
        (
            "a,amd64,1,1,z,spot,1\na,amd64,1,1,z,spot,2",
            "bad.csv: line 3, column zone: a in z spot is there already: expected one row",
        ),
    ] {
        let folder =
            Folder::with(&[("bad.csv", format!("{header}\n{rows}\n").as_str()), ("m.yaml", POD)]);
        assert_refused(&folder, &["--catalog", "bad.csv", "--manifests", "m.yaml"], expected);
    }
    let over = format!("{header},overhead_cpu_milli\na,amd64,1,1,z,spot,1,2\n");
    let missing = header.replace(",price_per_hour", "");
    let folder =
        Folder::with(&[("over.csv", over.as_str()), ("missing.csv", &missing), ("m.yaml", POD)]);
    for (file, expected) in [
        (
            "over.csv",
            "over.csv: line 2, column overhead_cpu_milli: \"2\" is more than cpu_milli \"1\": expected at most that",
        ),
        (
            "missing.csv",
            "missing.csv: line 1, column price_per_hour: the column is missing: expected instance_type",
        ),
        ("absent.csv", "absent.csv: cannot be read: "),
    ] {
        assert_refused(&folder, &["--catalog", file, "--manifests", "m.yaml"], expected);
    }
}

#[test]
fn bad_manifests_name_file_line_object_and_field() {
    let bad = POD.replace("name: m", "name: m, resources: { limits: { memory: 1Gib } }");
    let folder = Folder::with(&[
        ("m/a.yaml", format!("{POD}---\n{}", bad.replace("name: a", "name: b"))),
        ("broken.yaml", "apiVersion: v1\nkind: [Pod\n".to_owned()),
        ("twice/a.yaml", POD.to_owned()),
        ("twice/b.yaml", POD.to_owned()),
    ]);
    for (path, expected) in [
        (
            "m",
            "m/a.yaml: line 6: Pod default/b: spec.containers[0].resources.limits.memory: \"1Gib\" is no quantity: expected a number",
        ),
        ("broken.yaml", "broken.yaml: line "),
        (
            "twice",
            "twice/b.yaml: line 1: Pod default/a: is there already, twice/a.yaml line 1: expected it once",
        ),
        ("absent.yaml", "absent.yaml: cannot be read: "),
    ] {
        assert_refused(&folder, &["--catalog", "catalog.csv", "--manifests", path], expected);
    }
}

#[test]
fn bad_pods_name_file_line_and_column() {
    let folder = Folder::with(&[
        ("pods.csv", format!("{TRACE}a,w,0,,lots,1\n")),
        ("twice.csv", format!("{TRACE}a,w,0,,1,1\n")),
        ("header.csv", "name,workload\n".to_owned()),
        ("m.yaml", POD.to_owned()),
    ]);
    for (arguments, expected) in [
        (
            &["--pods", "pods.csv"][..],
            "pods.csv: line 2, column cpu_milli: \"lots\" is no amount: expected a whole number",
        ),
        (
            &["--pods", "header.csv"],
            "header.csv: line 1: the column submit_s is missing: expected name,workload",
        ),
        (
            &["--pods", "twice.csv", "--manifests", "m.yaml"],
            "twice.csv: pod default/a is in the manifests already: expected it once",
        ),
        (&[], "there is nothing to plan: expected --manifests, --pods or --live"),
    ] {
        assert_refused(&folder, &[&["--catalog", "catalog.csv"], arguments].concat(), expected);
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let folder = Folder::with(&[("m.yaml", POD)]);
    for arguments in [
        &["--manifests", "m.yaml"][..],
        &["--catalog", "catalog.csv", "--manifests", "m.yaml", "--budget", "soon"],
        &["--catalog", "catalog.csv", "--manifests", "m.yaml", "--policy", "best"],
        &["--catalog", "catalog.csv", "--manifests", "m.yaml", "--seed", "-1"],
    ] {
        let run = folder.run(arguments);
        assert_eq!(run.status, Some(2), "{arguments:?}: {}", run.error);
    }
}
