//! The simulated vendors, each in a file or folder of its own.

mod assemblyai;
mod aws;
mod azure;
mod baidu;
mod deepgram;
mod deepl;
mod elevenlabs;
mod gladia;
mod google;
mod groq;
mod iflytek;
mod libretranslate;
mod openai;
mod openai_dialect;
mod speechmatics;
mod tencent;

use crate::vendor::Vendor;

/// A fresh simulator of each, in alphabetical order.
pub(crate) fn all() -> Vec<Box<dyn Vendor>> {
    vec![
        Box::<assemblyai::AssemblyAi>::default(),
        Box::<aws::Aws>::default(),
        Box::<azure::Azure>::default(),
        Box::<baidu::Baidu>::default(),
        Box::<deepgram::Deepgram>::default(),
        Box::<deepl::DeepL>::default(),
        Box::<elevenlabs::ElevenLabs>::default(),
        Box::<gladia::Gladia>::default(),
        Box::<google::Google>::default(),
        Box::<groq::Groq>::default(),
        Box::<iflytek::Iflytek>::default(),
        Box::<libretranslate::LibreTranslate>::default(),
        Box::<openai::OpenAi>::default(),
        Box::<speechmatics::Speechmatics>::default(),
        Box::<tencent::Tencent>::default(),
    ]
}
