
// The rest of os/signpost.h are macros, which the tables do not hold: these do what Apple's do. The format is a
// literal, which instruments read from a section of the library.
#define OS_SIGNPOST_ID_NULL ((os_signpost_id_t)0)
#define OS_SIGNPOST_ID_INVALID ((os_signpost_id_t)~0ull)
#define OS_SIGNPOST_ID_EXCLUSIVE ((os_signpost_id_t)0xEEEEB0B5B2B2EEEEull)

#ifdef __APPLE__
MACOS_SDK_EXTERN char __dso_handle[];
#define MACOS_SDK_LOG_STRING(name, text) \
  static const char name[] __attribute__((section("__TEXT,__oslogstring,cstring_literals"), internal_linkage)) = text
#define os_signpost_emit_with_type(log, type, id, name, ...)                                                          \
  do {                                                                                                                \
    os_log_t signpost_log = (log);                                                                                    \
    os_signpost_id_t signpost_id = (id);                                                                              \
    if (signpost_id != OS_SIGNPOST_ID_NULL && signpost_id != OS_SIGNPOST_ID_INVALID &&                                \
        os_signpost_enabled(signpost_log)) {                                                                          \
      MACOS_SDK_LOG_STRING(signpost_name, name);                                                                      \
      MACOS_SDK_LOG_STRING(signpost_format, MACOS_SDK_FIRST(__VA_ARGS__, ""));                                        \
      uint8_t signpost_buffer[__builtin_os_log_format_buffer_size(__VA_ARGS__)];                                      \
      __builtin_os_log_format(signpost_buffer, __VA_ARGS__);                                                          \
      _os_signpost_emit_with_name_impl(__dso_handle, signpost_log, type, signpost_id, signpost_name, signpost_format, \
                                       signpost_buffer, (uint32_t)sizeof(signpost_buffer));                           \
    }                                                                                                                 \
  } while (0)
#define MACOS_SDK_FIRST(first, ...) first
#else
#define os_signpost_emit_with_type(log, type, id, name, ...) \
  _os_signpost_emit_with_name_impl((void*)"", (log), (type), (id), (name), "", (uint8_t*)"", 0)
#endif
// `name` and the format that may follow it are literals; without a format, write "".
#define os_signpost_event_emit(log, id, name, ...) \
  os_signpost_emit_with_type(log, OS_SIGNPOST_EVENT, id, name, __VA_ARGS__)
#define os_signpost_interval_begin(log, id, name, ...) \
  os_signpost_emit_with_type(log, OS_SIGNPOST_INTERVAL_BEGIN, id, name, __VA_ARGS__)
#define os_signpost_interval_end(log, id, name, ...) \
  os_signpost_emit_with_type(log, OS_SIGNPOST_INTERVAL_END, id, name, __VA_ARGS__)
