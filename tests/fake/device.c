// One of three libraries, by PART: a device, what it needs, and what that needs. The Makefile puts
// them into three folders; see tests/gpu/test_vendor.c.
int libfake_link(void);
int libfake_blas(void);
int device(void);

#define libfake_link_part                                                                          \
    int libfake_link(void)                                                                         \
    {                                                                                              \
        return 40;                                                                                 \
    }
#define libfake_blas_part                                                                          \
    int libfake_blas(void)                                                                         \
    {                                                                                              \
        return libfake_link() + 1;                                                                 \
    }
#define device_part                                                                                \
    int device(void)                                                                               \
    {                                                                                              \
        return libfake_blas() + 1;                                                                 \
    }
#define GLUE_(a, b) a##b
#define GLUE(a, b)  GLUE_(a, b)
GLUE(PART, _part)
