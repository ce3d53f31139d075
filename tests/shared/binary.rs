//! The built binary, run in a folder of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// `catalog.csv`: two sizes in two zones; four small ones cost more than a large one.
const CATALOG: &str = "instance_type,arch,cpu_milli,memory_mib,zone,capacity_type,price_per_hour
small,amd64,2000,4096,z1,on-demand,0.05
small,amd64,2000,4096,z2,on-demand,0.05
large,amd64,8000,16384,z1,on-demand,0.16
large,amd64,8000,16384,z1,spot,0.06
";

/// What a run of the binary came to.
pub struct Run {
    pub status: Option<i32>,
    pub output: String,
    pub error: String,
}

/// A folder with files, in which the binary runs.
pub struct Folder(pub TempDir);

impl Folder {
    /// With the catalog `catalog.csv` and these files.
    pub fn with(files: &[(&str, impl AsRef<[u8]>)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("catalog.csv"), CATALOG).unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(folder)
    }

    /// Runs it.
    pub fn command(&self, command: &str, arguments: &[&str]) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_berth"))
            .arg(command)
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run {
            status: output.status.code(),
            output: text(output.stdout),
            error: text(output.stderr),
        }
    }

    /// A file of it.
    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.0.path().join(file)).unwrap()
    }
}
