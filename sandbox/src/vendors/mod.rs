//! The simulated vendors, each in a file or folder of its own.

mod assemblyai;
mod aws;
mod baidu;
mod deepgram;
mod iflytek;
mod openai;
mod tencent;

use crate::vendor::Vendor;

/// A fresh simulator of each, in alphabetical order.
pub(crate) fn all() -> Vec<Box<dyn Vendor>> {
    vec![
        Box::<assemblyai::AssemblyAi>::default(),
        Box::<aws::Aws>::default(),
        Box::<baidu::Baidu>::default(),
        Box::<deepgram::Deepgram>::default(),
        Box::<iflytek::Iflytek>::default(),
        Box::<openai::OpenAi>::default(),
        Box::<tencent::Tencent>::default(),
    ]
}
