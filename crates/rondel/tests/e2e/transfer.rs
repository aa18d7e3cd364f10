//! Files through the balancer by curl, compared byte by byte with the original.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use crate::keyed;
use crate::lb::{Lb, assert_no_kernel_workers};
use crate::place::{Folder, long_lane};
use crate::programs::{Nginx, shell};
use crate::setup::Setup;

#[test]
fn a_download_equals_the_file() {
    let nginx = Nginx::start("files", 9001);
    let lb = Lb::start(&Setup::to(&[nginx.target()]));
    let file = nginx.file("big");
    write_big(&file);

    let (url, file) = (format!("http://{}/files/big", lb.address()), file.display());
    let (_, threads) =
        lb.threads_during(|| shell(format!("curl --silent --fail --max-time 120 {url} | cmp - {file}")));
    assert_no_kernel_workers(&threads);
}

#[test]
fn an_upload_equals_the_file() {
    let nginx = Nginx::start("files", 9001);
    let lb = Lb::start(&Setup::to(&[nginx.target()]));
    let folder = Folder::new();
    let file = folder.file("big");
    write_big(&file);

    let (url, file) = (format!("http://{}/files/big", lb.address()), file.display());
    let (_, threads) = lb
        .threads_during(|| shell(format!("curl --silent --fail --max-time 120 --upload-file {file} {url}")));
    assert_no_kernel_workers(&threads);
    shell(format!("cmp {} {file}", nginx.file("big").display()));
}

/// 1 GiB in the long lane, otherwise a quarter of it.
fn write_big(path: &Path) {
    let length = if long_lane() { 1 << 30 } else { 1 << 28 };
    keyed::write(BufWriter::new(File::create(path).unwrap()), 7, length).unwrap();
}
