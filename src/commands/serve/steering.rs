//! Whether planned pods are nominated for their nodes.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::version::Info;

/// From this minor version of Kubernetes 1 on it is documented that kube-scheduler honours
/// `status.nominatedNodeName`, whoever wrote it (KEP-5278, beta).
const HONOURED_FROM: u32 = 35;
/// How long the API server may take to say its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether to nominate: as it was told, otherwise as the API server's version allows. A server that
/// does not say its version is taken for an old one.
pub(super) async fn decide(told: Option<bool>, client: &kube::Client) -> bool {
    if let Some(told) = told {
        return told;
    }
    let version = tokio::time::timeout(PATIENCE, client.apiserver_version()).await;
    let (steer, version) = match version {
        Ok(Ok(info)) => (is_honoured(&info), info.git_version),
        Ok(Err(error)) => (false, format!("not known: {error}")),
        Err(_) => (false, "not known: no answer".to_owned()),
    };
    tracing::info!(steer, version, "whether pods are nominated follows from the API server");
    steer
}

fn is_honoured(info: &Info) -> bool {
    // Some clouds say "35+".
    let number = |text: &str| text.trim_end_matches('+').parse::<u32>().ok();
    let version = number(&info.major).zip(number(&info.minor));
    version.is_some_and(|version| version >= (1, HONOURED_FROM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_nominated_where_the_version_is_known_to_honour_it() {
        let said = |major: &str, minor: &str| {
            let (major, minor) = (major.to_owned(), minor.to_owned());
            is_honoured(&Info { major, minor, ..Info::default() })
        };
        assert!(said("1", "35") && said("1", "37+") && said("2", "0"));
        assert!(!said("1", "34") && !said("1", "9+") && !said("", "") && !said("1", "x"));
    }
}
