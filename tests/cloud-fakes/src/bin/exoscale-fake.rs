//! The fake of Exoscale's API as a process: `exoscale-fake [PORT]`. It says where it is, and ends
//! with its standard input. The key that it knows is in `exoscale::KEY`; what it can be asked for
//! beside the API is in `control`.

use berth_cloud_fakes::exoscale::Fake;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).map(|port| port.parse()).transpose();
    Fake::run(port.map_err(std::io::Error::other)?.unwrap_or(0)).await
}
