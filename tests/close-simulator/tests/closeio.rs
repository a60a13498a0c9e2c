//! The vendor's client, unmodified except for the base URL, as an independent check.

use std::{path::Path, process::Command};

use close_simulator::{Options, Simulator};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_vendors_client_reads_everything_and_writes() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Installs the client if needed: on a machine without network this fails with a message.
    let install = crate_folder.join("../../dev/clients");
    let python = tokio::task::spawn_blocking(move || Command::new(install).output())
        .await
        .unwrap()
        .expect("dev/clients can be run");
    assert!(python.status.success(), "dev/clients: {}", String::from_utf8_lossy(&python.stderr));
    let python = String::from_utf8(python.stdout).expect("a path").trim().to_owned();

    let running = Simulator::start(Options { leads: 300, ..Options::default() }).await.expect("a free port");
    let mut command = Command::new(python);
    command.arg(crate_folder.join("clients/closeio_reads_and_writes.py"));
    command.env("CLOSE_URL", running.base_url()).env("CLOSE_KEY", running.key("admin").expect("the admin's key"));
    // The machine's proxy must not handle the loopback, and the client sends the machine's UTC offset.
    command.env("NO_PROXY", "127.0.0.1").env("TZ", "Europe/Berlin");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("python can be run");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("rows of"), "{out}");
}
