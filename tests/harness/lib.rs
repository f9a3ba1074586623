//! The lab: sites for stories. A site is a real conductor, virtual servers with a BMC, their network and an image server,
//! all in namespaces of their own. Nothing here touches a device of this machine.

pub mod api;
pub mod bare_ramdisk;
pub mod bmc;
pub mod chassis;
pub mod conductor;
pub mod console;
pub mod disk;
pub mod image_server;
pub mod ipmi_sim;
pub mod machine;
pub mod needs;
pub mod network;
pub mod node;
pub mod os_image;
pub mod peers;
pub mod ramdisk;
pub mod sim;
pub mod site;
pub mod story;
pub mod workspace;
pub mod world;
