//! Image writing: raw, qcow2 and zstd over HTTP to a file, against a plain `O_DIRECT` copy to the same device in the same run.

use crate::Row;
use crate::served::Served;
use agent::step::Rules;
use agent::step::write_image::write_url;
use agent::sys::progress::Progress;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Virtual size of the image.
const SIZE: u64 = 2 << 30;
/// How much of it is data; the rest are holes.
const DATA: u64 = 1200 << 20;
const BLOCK: u64 = 4 << 20;

/// The rows.
pub fn writes(dir: &Path) -> Vec<Row> {
    let folder = dir.join("images");
    fs::create_dir_all(&folder).expect("a folder for images");
    let raw = make_raw(&folder);
    let qcow2 = convert(&raw, &folder);
    let zstd = compress(&raw, &folder);
    let target = folder.join("disk");
    let floor = direct_copy(&raw, &target);
    let mut rows = vec![Row {
        what: format!("copy of {} MiB data, dd with O_DIRECT", DATA >> 20),
        figure: seconds(floor),
        beside: rate(floor),
    }];
    for (name, path) in [("raw", &raw), ("qcow2", &qcow2), ("raw.zst", &zstd)] {
        let time = write(path, &target);
        let ratio = time.as_secs_f64() / floor.as_secs_f64();
        rows.push(Row {
            what: format!("agent writes {name}, hashed, over HTTP"),
            figure: seconds(time),
            beside: format!("{}, {ratio:.2} x the plain copy", rate(time)),
        });
    }
    let _ = fs::remove_dir_all(&folder);
    rows
}

/// Half compressible data, in runs between holes, with a boot signature.
fn make_raw(folder: &Path) -> PathBuf {
    let path = folder.join("image.raw");
    let mut file = File::create(&path).expect("an image file");
    file.set_len(SIZE).expect("an image file");
    let mut block = vec![0u8; BLOCK as usize];
    let (blocks, data) = (SIZE / BLOCK, DATA / BLOCK);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for number in 0..data {
        for chunk in block.chunks_mut(16) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk[..8].copy_from_slice(&state.to_le_bytes());
        }
        if number == 0 {
            block[510..512].copy_from_slice(&[0x55, 0xaa]);
        }
        file.seek(SeekFrom::Start(number * blocks / data * BLOCK)).expect("seek");
        file.write_all(&block).expect("room for an image");
    }
    file.sync_all().expect("sync");
    path
}

fn convert(raw: &Path, folder: &Path) -> PathBuf {
    let path = folder.join("image.qcow2");
    let mut command = Command::new("qemu-img");
    run(command.args(["convert", "-O", "qcow2"]).arg(raw).arg(&path));
    path
}

fn compress(raw: &Path, folder: &Path) -> PathBuf {
    let path = folder.join("image.raw.zst");
    let mut command = Command::new("zstd");
    run(command.args(["-q", "-3", "-f", "-o"]).arg(&path).arg(raw));
    path
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?} failed");
}

/// The floor: the data alone, read from the page cache, written past it.
fn direct_copy(raw: &Path, target: &Path) -> Duration {
    fresh(target);
    let mut command = Command::new("dd");
    command.arg(format!("if={}", raw.display())).arg(format!("of={}", target.display()));
    command.args(["bs=4M", "oflag=direct", "conv=notrunc,fsync", "status=none"]).arg(format!("count={}", DATA / BLOCK));
    let begun = Instant::now();
    run(&mut command);
    begun.elapsed()
}

fn fresh(target: &Path) {
    let _ = fs::remove_file(target);
    File::create(target).and_then(|file| file.set_len(SIZE)).expect("a target file");
}

fn write(image: &Path, target: &Path) -> Duration {
    fresh(target);
    let digest = digest(image);
    let served = Served::start(image);
    let begun = Instant::now();
    write_url(&served.url, &digest, target, &rules(target), &Progress::default())
        .unwrap_or_else(|error| panic!("{}: {error}", image.display()));
    begun.elapsed()
}

fn digest(path: &Path) -> String {
    let mut file = File::open(path).expect("an image");
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = file.read(&mut buffer) {
        hash.update(&buffer[..count]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rules(target: &Path) -> Rules {
    Rules {
        md5_enabled: false,
        disable_deep_image_inspection: false,
        permitted_image_formats: ["raw", "gpt", "qcow2"].map(str::to_owned).to_vec(),
        insecure: false,
        ca_file: None,
        tls_min_version: "1.2".into(),
        image_server: None,
        download_timeout: 60,
        download_retries: 0,
        download_retry_interval: 1,
        download_max_duration: 0,
        allow_erase: vec![target.to_owned()],
        guard_special_filesystems: true,
        efivars: "/nonexistent".into(),
        containers: agent::config::container::ContainerRules::default(),
        ignore_bootloader_failure: false,
        config_drive_rebuild: false,
        inject_files_priority: 0,
        disable_bootc_deploy: false,
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn rate(time: Duration) -> String {
    format!("{:.0} MiB/s of data", (DATA >> 20) as f64 / time.as_secs_f64())
}
