//! The lab itself holds: machines boot, the BMC switches them, the OS image starts under both firmwares. When one of
//! these fails, look here before looking at a deployment.

use std::fs;
use std::time::Duration;

use tests::console::Line;
use tests::ipmi_sim::{Bmc, PASSWORD, USER};
use tests::machine::{Bus, GIB, Machine, Spec};
use tests::network;
use tests::os_image::os_image;
use tests::story::{Stage, story};

/// Twice what the slowest boot took on a loaded machine.
const BOOT: Duration = Duration::from_secs(90);

#[test]
fn a_bios_machine_boots_the_image_from_virtio_and_its_power_button_works() {
    story(async |stage: Stage| {
        let machine = with_image(&stage, Spec::bios().disk(Bus::Virtio, "LAB0", GIB));
        machine.power_on();
        shows(&machine, "OS: booted Lab OS 1 firmware=bios").await;
        shows(&machine, "OS: no-configdrive").await;
        shows(&machine, "OS: ready host=(none)").await;
        // Its button handler starts last and says nothing: who presses too early presses again, as a person would.
        let mut off = false;
        for _ in 0..10 {
            machine.press_button();
            off = machine.reaches_power(false, BOOT / 10).await;
            if off {
                break;
            }
        }
        assert!(off, "no power-off:\n{}", machine.console().tail(20));
    });
}

#[test]
fn a_uefi_machine_boots_the_image_from_nvme() {
    story(async |stage: Stage| {
        let machine = with_image(&stage, Spec::uefi().disk(Bus::Nvme, "LAB0", GIB));
        machine.power_on();
        let line = shows(&machine, "OS: booted Lab OS 1 firmware=uefi").await;
        assert!(line.text.contains("root=/dev/nvme0n1p3"), "{line}");
    });
}

#[test]
fn the_bmc_switches_the_machine_and_dies_and_comes_back() {
    story(async |stage: Stage| {
        let tap = network::tap(0);
        let machine = Machine::build(&stage.dir, 0, Spec::bios().disk(Bus::Virtio, "LAB0", GIB), tap);
        let bmc = Bmc::start(&machine, network::bmc_address(0));
        assert_eq!(ipmi(&bmc, "chassis power status").await.unwrap().trim(), "Chassis Power is off");
        ipmi(&bmc, "chassis bootdev pxe").await.unwrap();
        ipmi(&bmc, "chassis power on").await.unwrap();
        assert!(machine.is_on());
        assert!(machine.console().tail(5).contains("boots from Network"), "{}", machine.console().tail(5));
        bmc.dies();
        assert!(ipmi_once(&bmc, "chassis power status").is_err());
        assert!(machine.is_on(), "a dead BMC leaves the machine as it is");
        bmc.revive();
        ipmi(&bmc, "chassis power off").await.unwrap();
        assert!(!machine.is_on());
        assert!(bmc.asked().iter().any(|asked| asked == "set boot pxe"), "{:?}", bmc.asked());
    });
}

fn with_image(stage: &Stage, spec: Spec) -> Machine {
    let image = os_image();
    let machine = Machine::build(&stage.dir, 0, spec, network::tap(0));
    fs::copy(&image.raw.path, machine.disk(0)).expect("the disk can be written");
    fs::File::options().write(true).open(machine.disk(0)).and_then(|disk| disk.set_len(GIB)).expect("the disk grows");
    machine
}

async fn shows(machine: &Machine, text: &str) -> Line {
    let found = machine.console().find(0, text, BOOT).await;
    found.unwrap_or_else(|| panic!("no `{text}` on the console:\n{}", machine.console().tail(60)))
}

/// A BMC that has just started needs a moment.
async fn ipmi(bmc: &Bmc, command: &str) -> Result<String, String> {
    for _ in 0..50 {
        if let Ok(answer) = ipmi_once(bmc, command) {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ipmi_once(bmc, command)
}

fn ipmi_once(bmc: &Bmc, command: &str) -> Result<String, String> {
    let program =
        image::program::Program::new("ipmitool", "ipmitool").args(["-I", "lanplus", "-C", "3", "-R", "1", "-N", "1"]);
    let program = program.args(["-H", &bmc.address.to_string(), "-U", USER, "-P", PASSWORD]);
    program.args(command.split(' ')).output().map_err(|error| error.to_string())
}
