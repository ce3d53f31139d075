//! The fake of Exoscale's API in a process of its own: this very binary, told to be it.

use berth_cloud_fakes::Process;
use berth_cloud_fakes::exoscale::Fake;
use tokio::process::Command;

/// Tells the binary to be the fake.
const IS_FAKE: &str = "BERTH_IS_EXOSCALE_FAKE";

/// Starts it.
pub async fn start() -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "fake::the_process", "--ignored", "--nocapture"]).env(IS_FAKE, "1");
    Process::start(&mut command).await.unwrap()
}

#[tokio::test]
#[ignore = "not a test: the process of the fake, which tests start"]
async fn the_process() {
    if std::env::var_os(IS_FAKE).is_some() {
        Fake::run(0).await.unwrap();
    }
}
